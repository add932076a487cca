#include "sightline/bus/embedded/retry_table.h"

#include <algorithm>

namespace sightline::bus {
namespace {

bool OlderThan(AppendTime at, AppendTime now, std::chrono::milliseconds kept) { return at.value + kept.count() <= now.value; }

}  // namespace

Result<std::optional<Appended>> RetryTable::Find(const BatchHeader& batch, AppendTime now) {
  DropOldTags(now);
  if (batch.has_tag()) {
    const auto found = tags_.find({batch.tag.key, batch.tag.part});
    if (found == tags_.end()) return std::nullopt;
    if (found->second.tag.digest != batch.tag.digest) {
      return Fail(ErrorKind::kAlreadyExists, "the idempotency key was used for another request within 24 h; send this one with a new key");
    }
    return Appended{.base = found->second.base, .count = found->second.count, .repeated = true};
  }
  if (batch.producer == 0) return std::nullopt;
  const auto found = producers_.find(batch.producer);
  if (found == producers_.end()) return std::nullopt;
  const Producer& producer = found->second;
  if (batch.sequence == producer.last + 1) return std::nullopt;
  if (batch.sequence > producer.last) {
    return Fail(ErrorKind::kFailedPrecondition, "producer " + std::to_string(batch.producer) + " sent sequence " +
                                                    std::to_string(batch.sequence) + " after " + std::to_string(producer.last) +
                                                    "; send again from " + std::to_string(producer.last + 1));
  }
  if (producer.last - batch.sequence >= producer.known) {
    return Fail(ErrorKind::kAlreadyExists, "sequence " + std::to_string(batch.sequence) + " of producer " + std::to_string(batch.producer) +
                                               " was appended long ago; its place is no longer known. Go on with " +
                                               std::to_string(producer.last + 1));
  }
  const Place& place = producer.places[batch.sequence % kSequencesKept];
  return Appended{.base = place.base, .count = place.count, .repeated = true};
}

void RetryTable::Remember(const BatchHeader& batch) {
  if (batch.has_tag()) {
    RememberTag({.tag = batch.tag, .base = batch.base, .count = batch.count, .at = batch.append_time});
  }
  if (batch.producer == 0) return;
  DropOldProducers(batch.append_time);
  Producer& producer = producers_[batch.producer];
  if (batch.sequence != producer.last + 1) producer.known = 0;  // its first batch here, or after damage
  producer.last = batch.sequence;
  producer.at = batch.append_time;
  producer.known = std::min(producer.known + 1, kSequencesKept);
  producer.places[batch.sequence % kSequencesKept] = {.base = batch.base, .count = batch.count};
}

void RetryTable::RememberTag(const Tag& tag) {
  const TagKey key{tag.tag.key, tag.tag.part};
  if (tags_.insert_or_assign(key, tag).second) in_order_.push_back(key);
}

void RetryTable::ForgetFrom(Offset from) {
  while (!in_order_.empty()) {
    const auto newest = tags_.find(in_order_.back());
    if (newest->second.base < from) break;
    tags_.erase(newest);
    in_order_.pop_back();
  }
  for (auto& [id, producer] : producers_) {
    while (producer.known > 0 && producer.places[producer.last % kSequencesKept].base >= from) {
      --producer.known;
      --producer.last;
    }
  }
}

std::vector<RetryTable::Tag> RetryTable::TagsFrom(Offset from) const {
  std::vector<Tag> newest;
  for (auto at = in_order_.rbegin(); at != in_order_.rend(); ++at) {
    const Tag& tag = tags_.at(*at);
    if (tag.base < from) break;
    newest.push_back(tag);
  }
  std::ranges::reverse(newest);
  return newest;
}

void RetryTable::DropOldTags(AppendTime now) {
  while (!in_order_.empty()) {
    const auto oldest = tags_.find(in_order_.front());
    if (!OlderThan(oldest->second.at, now, kTagsKept)) return;
    tags_.erase(oldest);
    in_order_.pop_front();
  }
}

void RetryTable::DropOldProducers(AppendTime now) {
  constexpr std::chrono::hours kBetween{1};
  if (!OlderThan(producers_checked_, now, kBetween)) return;
  producers_checked_ = now;
  std::erase_if(producers_, [now](const auto& entry) { return OlderThan(entry.second.at, now, kProducersKept); });
}

void RetryTable::SaveProducers(ByteWriter& out) const {
  out.Put(static_cast<std::uint32_t>(producers_.size()));
  std::vector<std::uint64_t> ids;
  ids.reserve(producers_.size());
  for (const auto& [id, producer] : producers_) ids.push_back(id);
  std::ranges::sort(ids);  // equal tables give equal bytes
  for (const std::uint64_t id : ids) {
    const Producer& producer = producers_.at(id);
    out.Put(id);
    out.Put(producer.last);
    out.Put(producer.at.value);
    out.Put(static_cast<std::uint8_t>(producer.known));
    for (std::size_t back = producer.known; back-- > 0;) {
      const Place& place = producer.places[(producer.last - back) % kSequencesKept];
      out.Put(place.base.value);
      out.Put(place.count);
    }
  }
}

Status RetryTable::LoadProducers(ByteReader& in) {
  producers_.clear();
  const auto size = in.Get<std::uint32_t>();
  for (std::uint32_t i = 0; i < size && in.ok(); ++i) {
    const auto id = in.Get<std::uint64_t>();
    Producer producer;
    producer.last = in.Get<std::uint64_t>();
    producer.at = AppendTime(in.Get<std::int64_t>());
    producer.known = in.Get<std::uint8_t>();
    if (producer.known > kSequencesKept) return Fail(ErrorKind::kCorruption, "a producer with too many sequences");
    for (std::size_t back = producer.known; back-- > 0;) {
      Place& place = producer.places[(producer.last - back) % kSequencesKept];
      place.base = Offset(in.Get<std::int64_t>());
      place.count = in.Get<std::uint32_t>();
    }
    producers_.insert_or_assign(id, producer);
  }
  if (!in.ok()) return Fail(ErrorKind::kCorruption, "a table of producers that ends early");
  return {};
}

}  // namespace sightline::bus
