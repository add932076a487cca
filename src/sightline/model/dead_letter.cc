#include "sightline/model/dead_letter.h"

#include <cassert>

#include "sightline/base/bytes.h"

namespace sightline {
namespace {
constexpr std::uint8_t kVersion = 1;

bool IsDeadLetterReason(std::uint8_t reason) { return reason >= static_cast<std::uint8_t>(Verdict::kLate) && reason < kVerdicts; }
}  // namespace

void EncodeDeadLetter(const DeadLetter& letter, std::string& out) {
  assert(letter.original_size >= letter.original.size());
  assert(IsDeadLetterReason(static_cast<std::uint8_t>(letter.reason)));
  out.reserve(out.size() + 48 + letter.topic.size() + letter.field.size() + letter.cause.size() + letter.request_id.size() +
              letter.original.size());
  ByteWriter to(out);
  to.Put(kVersion);
  to.Put(static_cast<std::uint8_t>(letter.reason));
  to.Put(static_cast<std::uint8_t>(letter.origin));
  to.Put(static_cast<std::uint8_t>(letter.encoding));
  to.Put(letter.partition.value);
  to.Put(letter.offset.value);
  to.Put(letter.received.value);
  to.PutVarint(letter.original_size);
  to.PutString(letter.topic);
  to.PutString(letter.field);
  to.PutString(letter.cause);
  to.PutString(letter.request_id);
  to.PutString(letter.original);
}

Result<DeadLetter> DecodeDeadLetter(std::string_view bytes) {
  ByteReader from(bytes);
  const auto version = from.Get<std::uint8_t>();
  if (from.ok() && version != kVersion) {
    return Fail(ErrorKind::kCorruption, "a dead letter of version " + std::to_string(version) +
                                            "; this program knows version 1. If the version is newer, update the program");
  }
  DeadLetter letter;
  const auto reason = from.Get<std::uint8_t>();
  const auto origin = from.Get<std::uint8_t>();
  const auto encoding = from.Get<std::uint8_t>();
  letter.partition = Partition(from.Get<std::int32_t>());
  letter.offset = Offset(from.Get<std::int64_t>());
  letter.received = WallTime(from.Get<std::int64_t>());
  letter.original_size = from.GetVarint();
  letter.topic = from.GetString();
  letter.field = from.GetString();
  letter.cause = from.GetString();
  letter.request_id = from.GetString();
  letter.original = from.GetString();
  if (!from.done()) return Fail(ErrorKind::kCorruption, "a dead letter that is cut short or has trailing bytes");
  if (!IsDeadLetterReason(reason) || origin > 1 || encoding > 2) {
    return Fail(ErrorKind::kCorruption, "a dead letter with an unknown reason, origin or encoding");
  }
  if (letter.original_size < letter.original.size()) {
    return Fail(ErrorKind::kCorruption, "a dead letter whose original is larger than its stated size");
  }
  letter.reason = static_cast<Verdict>(reason);
  letter.origin = static_cast<DeadLetterOrigin>(origin);
  letter.encoding = static_cast<RecordEncoding>(encoding);
  return letter;
}

std::string DeadLetterTopic(std::string_view dataset) { return "dead_letters." + std::string(dataset); }

}  // namespace sightline
