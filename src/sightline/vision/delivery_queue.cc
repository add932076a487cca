#include "sightline/vision/delivery_queue.h"

#include <algorithm>
#include <cassert>
#include <utility>

namespace sightline::vision {
namespace {

std::int64_t Ns(std::chrono::milliseconds duration) { return std::chrono::nanoseconds(duration).count(); }

}  // namespace

DeliveryQueue::DeliveryQueue(DeliveryOptions options, std::string key_prefix) : options_(options), key_prefix_(std::move(key_prefix)) {}

bool DeliveryQueue::Add(std::string line, std::int64_t now_ns) {
  counters_.taken += 1;
  waiting_.push_back({std::move(line), now_ns});
  if (waiting() <= options_.events_max) return true;
  // The batch under way may be on the server already: never drop from it.
  waiting_.pop_front();
  counters_.dropped += 1;
  return false;
}

std::optional<std::int64_t> DeliveryQueue::DueNs() const {
  if (batch_.events > 0) return not_before_ns_;
  if (waiting_.empty()) return std::nullopt;
  if (waiting_.size() >= options_.batch_events_max) return not_before_ns_;
  return std::max(not_before_ns_, waiting_.front().since_ns + Ns(options_.batch_wait));
}

const DeliveryQueue::Batch* DeliveryQueue::Next(std::int64_t now_ns, bool flush) {
  if (batch_.events > 0) return now_ns >= not_before_ns_ ? &batch_ : nullptr;
  const auto due = DueNs();
  if (!due || (!flush && now_ns < *due)) return nullptr;
  batch_.body.clear();
  while (!waiting_.empty() && batch_.events < options_.batch_events_max) {
    batch_.body += waiting_.front().line;
    batch_.events += 1;
    waiting_.pop_front();
  }
  batch_.key = key_prefix_ + "-" + std::to_string(next_key_++);
  return &batch_;
}

void DeliveryQueue::Settle(Outcome outcome, std::size_t delivered, std::optional<std::chrono::milliseconds> retry_after,
                           std::int64_t now_ns) {
  assert(batch_.events > 0);
  if (outcome == Outcome::kTryAgain) {
    counters_.failures += 1;
    const std::int64_t backoff = std::min(Ns(options_.backoff_max), Ns(options_.backoff_first) << std::min(failures_in_a_row_, 20));
    failures_in_a_row_ += 1;
    not_before_ns_ = now_ns + std::max(backoff, retry_after ? std::min(Ns(*retry_after), 4 * Ns(options_.backoff_max)) : 0);
    return;
  }
  const std::size_t taken = outcome == Outcome::kDelivered ? std::min(delivered, batch_.events) : 0;
  counters_.delivered += static_cast<std::int64_t>(taken);
  counters_.refused += static_cast<std::int64_t>(batch_.events - taken);
  failures_in_a_row_ = 0;
  not_before_ns_ = now_ns;
  batch_ = Batch{};
}

}  // namespace sightline::vision
