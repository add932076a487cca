#include "sightline/serve/api/dead_letter_pages.h"

#include <algorithm>

#include "sightline/base/bytes.h"
#include "sightline/security/secret.h"

namespace sightline::serve::internal {
namespace {

// Records of a partition that are read at once on the way back.
constexpr std::int64_t kPiece = 128;
// With a reason that is rare a page may need many records; then it comes back shorter, with a cursor to go on.
constexpr std::int64_t kLookedAtMax = 200'000;

std::unexpected<Error> NoCursor() { return Fail(ErrorKind::kInvalidArgument, "cursor must be the next_cursor of an answer"); }

}  // namespace

Result<DeadLetterPages> DeadLetterPages::Open(bus::Bus& bus, const std::vector<std::string>& topics, std::string_view cursor) {
  DeadLetterPages pages(bus);
  for (const std::string& topic : topics) {
    SL_ASSIGN_OR_RETURN(const bus::TopicInfo info, bus.Describe(topic));
    for (std::size_t p = 0; p < info.partitions.size(); ++p) {
      pages.sources_.push_back({.partition = {topic, Partition(static_cast<std::int32_t>(p))},
                                .start = info.partitions[p].start,
                                .end = info.partitions[p].visible,
                                .found = {}});
    }
  }
  if (cursor.empty()) return pages;
  const auto raw = security::ParseBase64Url(cursor);
  if (!raw) return NoCursor();
  ByteReader from(*raw);
  for (Source& source : pages.sources_) {
    const std::uint64_t end = from.GetVarint();
    if (!from.ok() || end > static_cast<std::uint64_t>(source.end.value)) return NoCursor();
    source.end = Offset(static_cast<std::int64_t>(end));
  }
  if (!from.done()) return NoCursor();
  return pages;
}

std::optional<std::string> DeadLetterPages::cursor() const {
  if (std::ranges::all_of(sources_, &Source::exhausted)) return std::nullopt;
  std::string raw;
  ByteWriter to(raw);
  for (const Source& source : sources_) to.PutVarint(static_cast<std::uint64_t>(source.next().value));
  return security::Base64Url(raw);
}

Status DeadLetterPages::Read(std::optional<Verdict> reason, std::int64_t limit, const std::function<bool()>& full, const Take& take) {
  for (std::int64_t left = limit; left > 0 && !full(); --left) {
    // All heads must be known before one of them can be the newest.
    Source* newest = nullptr;
    for (Source& source : sources_) {
      while (source.found.empty() && !source.exhausted()) {
        if (looked_at_ >= kLookedAtMax) return {};
        SL_TRY(LookBack(source, reason));
      }
      if (source.found.empty()) continue;
      if (newest == nullptr || source.found.back().received > newest->found.back().received) newest = &source;
    }
    if (newest == nullptr) return {};
    SL_TRY(HandOver(*newest, take));
  }
  return {};
}

// The piece before what was looked at last.
Status DeadLetterPages::LookBack(Source& source, std::optional<Verdict> reason) {
  const Offset from = std::max(source.start, source.end - kPiece);
  SL_ASSIGN_OR_RETURN(const auto reader, bus_.OpenReader(source.partition, from));
  while (reader->position() < source.end) {
    SL_ASSIGN_OR_RETURN(const auto batch, reader->Next());
    if (!batch) break;
    for (std::size_t i = 0; i < batch->values.size(); ++i) {
      const Offset offset = batch->offset(i);
      if (offset >= source.end) break;
      ++looked_at_;
      if (batch->type == bus::BatchType::kTick) continue;
      SL_ASSIGN_OR_RETURN(const DeadLetter letter, DecodeDeadLetter(batch->values[i]));
      if (!reason || letter.reason == *reason) source.found.push_back({offset, letter.received});
    }
  }
  source.end = from;
  return {};
}

Status DeadLetterPages::HandOver(Source& source, const Take& take) {
  const Offset offset = source.found.back().offset;
  SL_ASSIGN_OR_RETURN(const auto reader, bus_.OpenReader(source.partition, offset));
  SL_ASSIGN_OR_RETURN(const auto batch, reader->Next());
  if (!batch || batch->values.empty()) {
    return Fail(ErrorKind::kUnavailable, "topic " + source.partition.topic + ": a dead letter was removed while it was read; ask again");
  }
  SL_ASSIGN_OR_RETURN(const DeadLetter letter, DecodeDeadLetter(batch->values[0]));
  take({source.partition, offset}, letter);
  source.found.pop_back();
  return {};
}

}  // namespace sightline::serve::internal
