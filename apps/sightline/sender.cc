#include "apps/sightline/sender.h"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "sightline/base/text.h"

namespace sightline::app {
namespace {

constexpr std::size_t kRejectsShown = 20;
constexpr std::int64_t kMillisecondNs = 1'000'000;

std::uint64_t Count(const nlohmann::json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_number_unsigned() ? found->get<std::uint64_t>() : 0;
}
std::string Text(const nlohmann::json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

}  // namespace

std::uint64_t SendSummary::all_rejected() const {
  std::uint64_t sum = 0;
  for (const auto& [verdict, count] : rejected) sum += count;
  return sum;
}

Sender::Sender(World& world, Client client, SendOptions options)
    : world_(world),
      client_(std::move(client)),
      options_(std::move(options)),
      random_(options_.seed),
      window_(std::max<std::size_t>(options_.in_flight, 1)) {}

std::uint64_t Sender::unacknowledged() const {
  std::uint64_t sum = 0;
  for (const Pending& pending : pending_) sum += pending.batch.records;
  return sum;
}

Status Sender::Submit(EventBatch batch) {
  pending_.push_back({.batch = std::move(batch), .number = next_number_++});
  while (pending_.size() > window_) SL_TRY(Step());
  // Sent at once; its answer is taken later.
  auto sent = SendUnsent();
  if (sent) return {};
  return Backoff(std::move(sent).error(), Connection::kBroken, "");
}

Status Sender::Finish() {
  while (!pending_.empty()) SL_TRY(Step());
  return {};
}

Status Sender::Step() {
  Status sent = SendUnsent();
  if (sent) sent = TakeAnswer();
  if (sent) return {};
  return Backoff(std::move(sent).error(), Connection::kBroken, "");
}

Status Sender::SendUnsent() {
  std::size_t in_flight = static_cast<std::size_t>(std::ranges::count(pending_, true, &Pending::sent));
  for (Pending& pending : pending_) {
    if (in_flight >= window_) break;
    if (pending.sent) continue;
    HttpRequest request{.method = "POST",
                        .target = "/v1/datasets/" + options_.dataset + "/events",
                        .headers = {{"Content-Type", std::string(MediaTypeOf(pending.batch.form))},
                                    {"Idempotency-Key", options_.run_id + "-" + std::to_string(pending.number)}},
                        .body = pending.batch.body};
    if (pending.batch.packing != Packing::kNone)
      request.headers.emplace_back("Content-Encoding", pending.batch.packing == Packing::kGzip ? "gzip" : "zstd");
    if (pending.attempts++ > 0) ++summary_.retries;
    SL_TRY(client_.Send(request));
    pending.sent = true;
    ++in_flight;
  }
  return {};
}

Status Sender::TakeAnswer() {
  std::optional<Error> refused;
  std::string retry_after;
  // After a refusal the answers of those behind it are taken too, so that all that were refused go again in order.
  do {
    SL_ASSIGN_OR_RETURN(const HttpResponse response, client_.Receive());
    const auto first = std::ranges::find(pending_, true, &Pending::sent);  // answers come in the order sent
    if (response.status == 200 || response.status == 422) {
      SL_TRY(Account(*first, response));
      pending_.erase(first);
      trouble_since_ns_ = 0;
      if (!refused) window_ = std::min(window_ + 1, std::max<std::size_t>(options_.in_flight, 1));
      continue;
    }
    Error error = ErrorOf(response);
    const bool later = response.status == 408 || response.status == 429 || response.status >= 500;
    if (!later)
      return std::unexpected(
          Error{error.kind, "the server refused line " + std::to_string(first->batch.first) + " and what follows: " + error.message});
    first->sent = false;
    window_ = 1;
    refused = Error{ErrorKind::kUnavailable, std::move(error.message)};
    retry_after = std::string(response.Header("retry-after"));
  } while (refused && std::ranges::find(pending_, true, &Pending::sent) != pending_.end());
  if (!refused) return {};
  return Backoff(std::move(*refused), Connection::kGood, retry_after);
}

Status Sender::Backoff(Error error, Connection connection, std::string_view retry_after) {
  if (error.kind != ErrorKind::kUnavailable && error.kind != ErrorKind::kDeadlineExceeded) return std::unexpected(std::move(error));
  if (connection == Connection::kBroken) {
    // Nothing is known of what was in flight: all of it goes again, under its keys.
    client_.Disconnect();
    for (Pending& pending : pending_) pending.sent = false;
  }
  const std::int64_t now_ns = world_.clock.MonotonicNs();
  if (trouble_since_ns_ == 0) {
    trouble_since_ns_ = now_ns;
    tries_ = 0;
  }
  const std::int64_t waited_ms = (now_ns - trouble_since_ns_) / kMillisecondNs;
  if (waited_ms >= options_.retry_for.count()) {
    error.message += " (tried for " + FormatDuration(options_.retry_for) + ")";
    return std::unexpected(std::move(error));
  }
  constexpr std::int64_t kFirstMs = 50, kLongestMs = 5000, kAskedForMax = 60'000;
  std::int64_t wait_ms = std::min(kLongestMs, kFirstMs << std::min(tries_++, 7));
  if (const auto seconds = ParseInt64(retry_after); seconds && *seconds >= 0) wait_ms = std::min(*seconds * 1000, kAskedForMax);
  // Senders that were refused together do not come back together.
  wait_ms += static_cast<std::int64_t>(random_.Below(static_cast<std::uint64_t>(wait_ms / 2 + 1)));
  world_.sleep(std::chrono::milliseconds(std::min(wait_ms, options_.retry_for.count() - waited_ms)));
  return {};
}

Status Sender::Account(const Pending& pending, const HttpResponse& response) {
  const nlohmann::json body = nlohmann::json::parse(response.body, nullptr, false);
  if (!body.is_object() || !body.contains("received")) {
    return Fail(ErrorKind::kInternal,
                client_.url() + " answered " + std::to_string(response.status) + " without counts: is it a sightline server?");
  }
  ++summary_.batches;
  summary_.bytes += pending.batch.body.size();
  summary_.received += Count(body, "received");
  summary_.accepted += Count(body, "accepted");
  if (const auto rejected = body.find("rejected"); rejected != body.end() && rejected->is_object()) {
    for (const auto& [verdict, count] : rejected->items()) {
      if (count.is_number_unsigned() && count.get<std::uint64_t>() > 0) summary_.rejected[verdict] += count.get<std::uint64_t>();
    }
  }
  const auto rejects = body.find("rejects");
  if (rejects == body.end() || !rejects->is_array()) return {};
  for (const auto& reject : *rejects) {
    if (summary_.rejects.size() >= kRejectsShown || !reject.is_object()) break;
    summary_.rejects.push_back({.line = pending.batch.first + std::max<std::uint64_t>(Count(reject, "line"), 1) - 1,
                                .verdict = Text(reject, "verdict"),
                                .field = Text(reject, "field"),
                                .cause = Text(reject, "cause")});
  }
  return {};
}

}  // namespace sightline::app
