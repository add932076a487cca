#pragma once

#include <cstdio>

#include "sightline/vision/event.h"

namespace sightline::vision {

// Writes each event at once as a line to a stream it does not own. A stream that takes no more (a closed pipe) is noticed by `broken`.
class NdjsonSink final : public EventSink {
 public:
  explicit NdjsonSink(std::FILE* stream) : stream_(stream) {}
  void Take(const DetectionEvent& event) override {
    line_.clear();
    AppendNdjson(line_, event);
    if (std::fwrite(line_.data(), 1, line_.size(), stream_) != line_.size() || std::fflush(stream_) != 0) broken_ = true;
  }
  bool broken() const { return broken_; }

 private:
  std::FILE* stream_;
  std::string line_;
  bool broken_ = false;
};

}  // namespace sightline::vision
