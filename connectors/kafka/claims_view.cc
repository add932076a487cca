#include "connectors/kafka/claims.h"

#include "sightline/base/bytes.h"

namespace sightline::kafka {
namespace {

enum class Kind : std::uint8_t { kClaim = 1, kRelease = 2, kDone = 3 };

std::string Encode(Kind kind, const ClaimsView::ClaimId& id) {
  std::string out;
  ByteWriter to(out);
  to.Put(static_cast<std::uint8_t>(kind));
  to.Put(id.low);
  to.Put(id.high);
  return out;
}

}  // namespace

std::string ClaimsView::KeyOf(const bus::IdempotencyTag& tag) {
  std::string key;
  ByteWriter to(key);
  to.Put(tag.key.low);
  to.Put(tag.key.high);
  to.Put(tag.part);
  return key;
}

std::string ClaimsView::Claim(const ClaimId& id) { return Encode(Kind::kClaim, id); }
std::string ClaimsView::Release(const ClaimId& id) { return Encode(Kind::kRelease, id); }

std::string ClaimsView::Done(const ClaimId& id, const Answer& answer) {
  std::string out = Encode(Kind::kDone, id);
  ByteWriter to(out);
  to.Put(answer.base.value);
  to.Put(answer.count);
  to.Put(answer.digest);
  return out;
}

bool ClaimsView::Stands(const Entry& entry, AppendTime now) {
  return entry.done ? now - entry.finished <= kKept.count() : now - entry.claimed <= kLease.count();
}

Status ClaimsView::Apply(std::string_view key, std::string_view value, AppendTime time) {
  ByteReader from(value);
  const auto kind = static_cast<Kind>(from.Get<std::uint8_t>());
  ClaimId id;
  id.low = from.Get<std::uint64_t>();
  id.high = from.Get<std::uint64_t>();
  Answer answer;
  if (kind == Kind::kDone) {
    answer.base = Offset(from.Get<std::int64_t>());
    answer.count = from.Get<std::uint32_t>();
    answer.digest = from.Get<std::uint32_t>();
  }
  if (!from.done() || kind < Kind::kClaim || kind > Kind::kDone) {
    return Fail(ErrorKind::kCorruption, "a record in the log of claims that is none");
  }
  const std::string name(key);
  const auto there = entries_.find(name);
  const bool stands = there != entries_.end() && Stands(there->second, time);
  switch (kind) {
    case Kind::kClaim:
      if (!stands) entries_[name] = {.owner = id, .claimed = time, .done = false, .answer = {}, .finished = {}};
      break;
    case Kind::kRelease:
      if (stands && !there->second.done && there->second.owner == id) entries_.erase(there);
      break;
    case Kind::kDone: {
      Entry& entry = entries_[name];
      entry.owner = id;
      entry.done = true;
      entry.answer = answer;
      entry.finished = time;
      break;
    }
  }
  return {};
}

const ClaimsView::Entry* ClaimsView::Find(const std::string& key, AppendTime now) const {
  const auto found = entries_.find(key);
  return found != entries_.end() && Stands(found->second, now) ? &found->second : nullptr;
}

void ClaimsView::Forget(AppendTime now) {
  std::erase_if(entries_, [&](const auto& entry) { return !Stands(entry.second, now); });
}

}  // namespace sightline::kafka
