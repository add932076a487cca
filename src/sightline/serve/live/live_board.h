#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "sightline/model/live.h"
#include "sightline/ops/metrics.h"
#include "sightline/serve/live/live_view.h"

namespace sightline::serve {

// The in-memory board of what happens now, for all pipelines with `to: live`. Flow publishes open windows to it, the consumer
// of the results topics final and corrected ones. Each change gets the next version of its pipeline; who has seen version v asks
// for what changed since. Thread-safe. Nothing of it survives a restart: then another epoch begins, and clients start over.
class LiveBoard final : public LiveSink {
 public:
  // `epoch` is random, so that a resume token of another run of the program is known to be one.
  LiveBoard(std::uint64_t epoch, ops::Metrics& metrics);
  ~LiveBoard() override;

  // Makes a pipeline known, so that clients can wait for it before anything was published. With another generation than before
  // it starts over empty, and groups of other generations are ignored from then on.
  void Declare(std::shared_ptr<const ResultShape> shape, std::uint64_t generation);

  void Publish(const std::shared_ptr<const ResultShape>& shape, std::span<const LiveGroup> groups) override;

  // Nothing for an unknown pipeline.
  std::shared_ptr<const ResultShape> Shape(std::string_view pipeline) const;
  std::vector<std::string> Pipelines() const;

  struct Changes {
    std::uint64_t incarnation = 0;  // raised when a pipeline starts over: what was known of it is void
    std::uint64_t version = 0;
    std::vector<std::shared_ptr<const LiveEntry>> entries;  // in the order of change
  };
  // What changed after `version` of the given incarnation; everything when the incarnation is another one.
  Changes Since(std::string_view pipeline, std::uint64_t incarnation, std::uint64_t version) const;
  // The open windows that a row query shows beside the stored results.
  std::vector<std::shared_ptr<const LiveEntry>> OpenWindows(std::string_view pipeline) const;

  std::uint64_t epoch() const { return epoch_; }

  // Calls `waker` after every publication, from the publishing thread, until the token is destroyed.
  [[nodiscard]] std::shared_ptr<void> Subscribe(std::function<void()> waker);

 private:
  struct Pipeline;
  struct Wakers;
  std::shared_ptr<Pipeline> Find(std::string_view pipeline) const;
  std::shared_ptr<Pipeline> FindOrMake(const std::shared_ptr<const ResultShape>& shape);
  void Wake() const;

  const std::uint64_t epoch_;
  ops::Counter* published_;
  ops::Counter* ignored_;
  mutable std::shared_mutex mutex_;
  std::map<std::string, std::shared_ptr<Pipeline>, std::less<>> pipelines_;
  std::shared_ptr<Wakers> wakers_;
};

}  // namespace sightline::serve
