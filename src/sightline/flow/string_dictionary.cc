#include "sightline/flow/string_dictionary.h"

#include <algorithm>
#include <cstring>

#include "sightline/runtime/random.h"

namespace sightline::flow {

// The numbering depends on the order of arrival alone; the seed only places entries, so that nobody can choose names that collide.
StringDictionary::StringDictionary() : seed_(runtime::SystemEntropy()), mask_(1023), slots_(1024) {}

std::uint32_t StringDictionary::Add(std::string_view text, std::uint32_t hash) {
  if (arena_.empty() || arena_used_ + text.size() > arena_size_) {
    arena_size_ = std::max<std::size_t>(text.size(), 64 * 1024);
    arena_used_ = 0;
    arena_bytes_ += arena_size_;
    arena_.push_back(std::make_unique_for_overwrite<char[]>(arena_size_));
  }
  // The empty text needs no place, and may be the first of all, when there is none yet.
  if (text.empty()) {
    strings_.emplace_back("");
  } else {
    char* at = arena_.back().get() + arena_used_;
    std::memcpy(at, text.data(), text.size());
    arena_used_ += text.size();
    strings_.emplace_back(at, text.size());
  }
  if (strings_.size() * 2 > slots_.size()) Grow();
  const auto id = static_cast<std::uint32_t>(strings_.size() - 1);
  std::uint32_t slot = hash & mask_;
  while (slots_[slot].id_plus_one != 0) slot = (slot + 1) & mask_;
  slots_[slot] = {hash, id + 1};
  return id;
}

void StringDictionary::Grow() {
  std::vector<Slot> old(slots_.size() * 4);
  old.swap(slots_);
  mask_ = static_cast<std::uint32_t>(slots_.size() - 1);
  for (const Slot& slot : old) {
    if (slot.id_plus_one == 0) continue;
    std::uint32_t at = slot.hash & mask_;
    while (slots_[at].id_plus_one != 0) at = (at + 1) & mask_;
    slots_[at] = slot;
  }
}

}  // namespace sightline::flow
