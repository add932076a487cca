#include "sightline/bus/port.h"

#include <algorithm>
#include <future>

namespace sightline::bus {
namespace {

constexpr std::size_t kNameMax = 200;
constexpr std::int32_t kPartitionsMax = 10'000;

bool IsNameByte(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '-'; }

std::size_t SumSizes(std::span<const std::string_view> parts) {
  std::size_t sum = 0;
  for (const std::string_view part : parts) sum += part.size();
  return sum;
}

}  // namespace

std::size_t Batch::CountBefore(Offset offset) const {
  if (!offsets.empty()) return static_cast<std::size_t>(std::lower_bound(offsets.begin(), offsets.end(), offset) - offsets.begin());
  return static_cast<std::size_t>(std::clamp<std::int64_t>(offset - base, 0, static_cast<std::int64_t>(values.size())));
}

Status CheckName(std::string_view what, std::string_view name) {
  const bool dots = name == "." || name == "..";
  if (!name.empty() && name.size() <= kNameMax && !dots && std::ranges::all_of(name, IsNameByte)) return {};
  return Fail(ErrorKind::kInvalidArgument, "'" + std::string(name.substr(0, kNameMax)) + "' is no name for a " + std::string(what) +
                                               ": use 1 to 200 of a-z, 0-9, '_', '.', '-'");
}

Status CheckSpec(const TopicSpec& spec) {
  SL_TRY(CheckName("topic", spec.name));
  if (spec.partitions < 1 || spec.partitions > kPartitionsMax) {
    return Fail(ErrorKind::kInvalidArgument,
                "topic " + spec.name + ": " + std::to_string(spec.partitions) + " partitions; use 1 to " + std::to_string(kPartitionsMax));
  }
  if (spec.retain_time.count() < 0 || spec.interval.count() <= 0) {
    return Fail(ErrorKind::kInvalidArgument, "topic " + spec.name + ": a time to retain or an interval that is not positive");
  }
  if (spec.segment_bytes < 4096 || spec.segment_bytes > (1ULL << 36)) {
    return Fail(ErrorKind::kInvalidArgument,
                "topic " + spec.name + ": segments of " + std::to_string(spec.segment_bytes) + " bytes; use 4 KiB to 64 GiB");
  }
  return {};
}

Status CheckBatch(const AppendBatch& batch) {
  const bool tick = batch.type == BatchType::kTick;
  if (tick && (batch.values.size() > 1 || SumSizes(batch.values) > 0)) {
    return Fail(ErrorKind::kInvalidArgument, "a tick is one record without a value");
  }
  const std::size_t values = tick ? 1 : batch.values.size();
  if (values == 0) return Fail(ErrorKind::kInvalidArgument, "a batch without records cannot be appended");
  if (!batch.keys.empty() && batch.keys.size() != values) {
    return Fail(ErrorKind::kInvalidArgument, "a batch has " + std::to_string(values) + " values and " + std::to_string(batch.keys.size()) +
                                                 " keys; give one key a value, or none");
  }
  if (batch.producer != 0 && batch.idempotency) {
    return Fail(ErrorKind::kInvalidArgument, "a batch has a producer sequence and an idempotency tag; give one of them");
  }
  return {};
}

Result<Appended> AppendAndWait(Bus& bus, const TopicPartition& to, const AppendBatch& batch) {
  std::promise<Result<Appended>> answer;
  auto future = answer.get_future();
  bus.Append(to, batch, [&answer](Result<Appended> result) { answer.set_value(std::move(result)); });
  return future.get();
}

}  // namespace sightline::bus
