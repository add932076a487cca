#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include "sightline/base/result.h"
#include "sightline/runtime/clock.h"
#include "sightline/vision/delivery_queue.h"
#include "sightline/vision/event.h"

namespace sightline::vision {

// Brings a batch to the server. Used by one thread; may block up to its own time-out.
class EventTransport {
 public:
  struct Answer {
    int status = 0;  // HTTP
    std::optional<std::chrono::milliseconds> retry_after = {};
    std::string body = {};
  };
  virtual ~EventTransport() = default;
  // An error means that whether the batch arrived is unknown; trying again with the same key is safe.
  virtual Result<Answer> Post(std::string_view ndjson, std::string_view idempotency_key) = 0;
};

// Sends events to a server from a thread of its own, again and again until the server has answered for them; what it cannot keep or deliver
// it says in the log. Take is for one thread at a time.
class EventSender final : public EventSink {
 public:
  using Log = std::function<void(std::string_view)>;
  struct Parts {
    EventTransport& transport;
    runtime::Clock& clock;
    Log log;  // called from the sender's thread and from Take's
  };
  // `key_prefix` as for DeliveryQueue. All parts must outlive the sender.
  EventSender(DeliveryOptions options, std::string key_prefix, Parts parts);
  ~EventSender() override;

  void Take(const DetectionEvent& event) override;
  // Sends what is left and ends the thread; gives up after `patience`. True when nothing was left behind.
  bool Close(std::chrono::milliseconds patience);
  DeliveryCounters counters() const;
  std::size_t waiting() const;

 private:
  void Run();
  // The queue's verdict on the server's answer, told to the queue.
  void Settle(const Result<EventTransport::Answer>& answer, std::size_t events);
  void Failed(const std::string& why, std::optional<std::chrono::milliseconds> retry_after);

  Parts parts_;
  const std::size_t events_max_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  DeliveryQueue queue_;  // guarded by mutex_
  bool closing_ = false;  // guarded by mutex_
  std::int64_t give_up_ns_ = 0;  // guarded by mutex_; set when closing
  std::int64_t dropped_told_ = 0;  // guarded by mutex_
  std::int64_t outage_since_ns_ = 0;  // sender's thread
  std::thread thread_;
};

}  // namespace sightline::vision
