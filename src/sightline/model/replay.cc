#include "sightline/model/replay.h"

#include "sightline/base/bytes.h"

namespace sightline {
namespace {
constexpr std::uint8_t kVersion = 1;
}  // namespace

void EncodeReplayKey(const ReplayKey& key, std::string& out) {
  ByteWriter to(out);
  to.Put(kVersion);
  to.Put(static_cast<std::uint8_t>(key.reason));
  to.Put(static_cast<std::uint8_t>(key.origin));
  to.Put(key.partition.value);
  to.Put(key.offset.value);
  to.Put(key.received.value);
  to.PutString(key.topic);
  to.PutString(key.pipeline);
}

Result<ReplayKey> DecodeReplayKey(std::string_view bytes) {
  ByteReader from(bytes);
  ReplayKey key;
  const auto version = from.Get<std::uint8_t>();
  const auto reason = from.Get<std::uint8_t>();
  const auto origin = from.Get<std::uint8_t>();
  key.partition = Partition(from.Get<std::int32_t>());
  key.offset = Offset(from.Get<std::int64_t>());
  key.received = WallTime(from.Get<std::int64_t>());
  key.topic = from.GetString();
  key.pipeline = from.GetString();
  const bool known = reason >= static_cast<std::uint8_t>(Verdict::kLate) && reason < kVerdicts && origin <= 1;
  if (!from.done() || version != kVersion || !known || key.partition.value < 0 || key.offset.value < 0) {
    return Fail(ErrorKind::kCorruption, "a record of a replay batch without a readable key");
  }
  key.reason = static_cast<Verdict>(reason);
  key.origin = static_cast<DeadLetterOrigin>(origin);
  return key;
}

}  // namespace sightline
