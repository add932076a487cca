#include "sightline/vision/event_sender.h"

#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace sightline::vision {
namespace {

constexpr std::int64_t kNsPerMs = 1'000'000;
// A full queue drops an event at each new one: told at the first and then at every so many.
constexpr std::int64_t kTellDropsEvery = 1000;

std::string Shortened(std::string_view text) { return std::string(text.substr(0, 300)); }

// Answers after which the same batch may well be taken: too much at once, a server that starts or stops, a token that is renewed.
bool WorthAnotherTry(int status) {
  return status == 401 || status == 403 || status == 408 || status == 409 || status == 425 || status == 429 || status >= 500;
}

// How many events of a batch the server took, by its own count; all of them when it does not say.
std::size_t AcceptedOf(std::string_view body, std::size_t events) {
  const auto answer = nlohmann::json::parse(body, nullptr, false);
  if (!answer.is_object()) return events;
  const auto accepted = answer.find("accepted");
  return accepted != answer.end() && accepted->is_number_unsigned() ? accepted->get<std::size_t>() : events;
}

}  // namespace

EventSender::EventSender(DeliveryOptions options, std::string key_prefix, Parts parts)
    : parts_(std::move(parts)), events_max_(options.events_max), queue_(options, std::move(key_prefix)), thread_([this] { Run(); }) {}

EventSender::~EventSender() {
  if (thread_.joinable()) Close(std::chrono::milliseconds(0));
}

void EventSender::Take(const DetectionEvent& event) {
  std::string line;
  AppendNdjson(line, event);
  std::int64_t dropped = 0;
  {
    const std::lock_guard lock(mutex_);
    if (!queue_.Add(std::move(line), parts_.clock.MonotonicNs())) {
      const std::int64_t all = queue_.counters().dropped;
      if (dropped_told_ == 0 || all - dropped_told_ >= kTellDropsEvery) dropped = dropped_told_ = all;
    }
  }
  wake_.notify_one();
  if (dropped > 0) {
    parts_.log(
        fmt::format("the server takes no events and {} wait already: dropping the oldest ({} dropped so far)", events_max_, dropped));
  }
}

void EventSender::Run() {
  std::unique_lock lock(mutex_);
  while (true) {
    const std::int64_t now = parts_.clock.MonotonicNs();
    if (closing_ && (queue_.waiting() == 0 || now >= give_up_ns_)) return;
    const DeliveryQueue::Batch* batch = queue_.Next(now, closing_);
    if (batch == nullptr) {
      auto until = queue_.DueNs();
      if (closing_) until = std::min(until.value_or(give_up_ns_), give_up_ns_);
      if (until) {
        wake_.wait_for(lock, std::chrono::nanoseconds(std::max<std::int64_t>(*until - now, kNsPerMs)));
      } else {
        wake_.wait(lock);
      }
      continue;
    }
    // Add never touches the batch under way, so it may be read without the lock.
    lock.unlock();
    const auto answer = parts_.transport.Post(batch->body, batch->key);
    lock.lock();
    const std::size_t events = batch->events;
    lock.unlock();
    Settle(answer, events);
    lock.lock();
  }
}

void EventSender::Failed(const std::string& why, std::optional<std::chrono::milliseconds> retry_after) {
  const std::int64_t now = parts_.clock.MonotonicNs();
  bool first = false;
  {
    const std::lock_guard lock(mutex_);
    first = queue_.failures_in_a_row() == 0;
    queue_.Settle(DeliveryQueue::Outcome::kTryAgain, 0, retry_after, now);
  }
  if (!first) return;
  outage_since_ns_ = now;
  parts_.log(fmt::format("events are not delivered: {}; trying again until they are, keeping up to {} events", why, events_max_));
}

void EventSender::Settle(const Result<EventTransport::Answer>& answer, std::size_t events) {
  if (!answer) return Failed(answer.error().message, std::nullopt);
  if (WorthAnotherTry(answer->status)) {
    return Failed(fmt::format("the server answered {}: {}", answer->status, Shortened(answer->body)), answer->retry_after);
  }
  const bool success = answer->status >= 200 && answer->status < 300;
  const std::size_t accepted = success ? AcceptedOf(answer->body, events) : 0;
  const std::int64_t now = parts_.clock.MonotonicNs();
  bool was_out = false;
  std::size_t still_waiting = 0;
  DeliveryCounters counters;
  {
    const std::lock_guard lock(mutex_);
    was_out = queue_.failures_in_a_row() > 0;
    queue_.Settle(success ? DeliveryQueue::Outcome::kDelivered : DeliveryQueue::Outcome::kRefused, accepted, std::nullopt, now);
    still_waiting = queue_.waiting();
    counters = queue_.counters();
  }
  if (accepted < events) {
    parts_.log(
        fmt::format("the server refused {} of {} events ({}): {}", events - accepted, events, answer->status, Shortened(answer->body)));
  }
  if (was_out) {
    parts_.log(fmt::format("events are delivered again after {:.1f} s; {} wait, {} were dropped so far",
                           static_cast<double>(now - outage_since_ns_) * 1e-9, still_waiting, counters.dropped));
  }
}

bool EventSender::Close(std::chrono::milliseconds patience) {
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
    give_up_ns_ = parts_.clock.MonotonicNs() + patience.count() * kNsPerMs;
  }
  wake_.notify_one();
  if (thread_.joinable()) thread_.join();
  const std::size_t left = waiting();
  if (left > 0) parts_.log(fmt::format("{} events were not delivered before the end", left));
  return left == 0;
}

DeliveryCounters EventSender::counters() const {
  const std::lock_guard lock(mutex_);
  return queue_.counters();
}

std::size_t EventSender::waiting() const {
  const std::lock_guard lock(mutex_);
  return queue_.waiting();
}

}  // namespace sightline::vision
