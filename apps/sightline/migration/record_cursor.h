#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include "sightline/bus/port.h"

namespace sightline::app {

// One record, whatever batch it came in.
struct MovingRecord {
  bus::BatchType type = bus::BatchType::kData;
  bus::Encoding encoding = bus::Encoding::kJson;
  Offset offset;
  AppendTime time;
  std::string_view value;
  std::optional<std::string_view> key;
};

// The records of a partition one by one. One thread.
class RecordCursor {
 public:
  // `sleep`: waits a moment for what a broker has yet to bring.
  RecordCursor(std::unique_ptr<bus::Reader> reader, Offset end, std::function<void(std::chrono::milliseconds)> sleep)
      : reader_(std::move(reader)), end_(end), sleep_(std::move(sleep)) {}

  // The next record before the end, or nothing. Its views are valid until the next call. kDeadlineExceeded when nothing comes although the
  // end is not reached.
  Result<std::optional<MovingRecord>> Next();
  // The partition has grown.
  void SetEnd(Offset end) { end_ = end; }

 private:
  Result<bool> Fill();

  std::unique_ptr<bus::Reader> reader_;
  Offset end_;
  std::function<void(std::chrono::milliseconds)> sleep_;
  bus::Batch batch_;
  std::size_t at_ = 0;
};

}  // namespace sightline::app
