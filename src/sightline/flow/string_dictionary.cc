#include "sightline/flow/string_dictionary.h"

#include <algorithm>
#include <cstring>

#include "sightline/runtime/random.h"

namespace sightline::flow {

// The numbering depends on the order of arrival alone; the seed only places entries, so that nobody can choose names that collide.
StringDictionary::StringDictionary(std::pmr::memory_resource* memory)
    : seed_(runtime::SystemEntropy()), mask_(1023), slots_(1024, memory), strings_(memory), arena_(memory) {}

// In steps of what there is, so that a large dictionary is a few large pieces.
std::size_t StringDictionary::NextArena() const { return std::clamp<std::size_t>(arena_bytes_, 64 * 1024, 4096 * 1024); }

std::size_t StringDictionary::GrowthFor(std::size_t strings) const {
  const std::size_t wanted = strings_.size() + strings;
  std::size_t growth = 0;
  std::size_t slots = slots_.size();
  while (wanted * 2 > slots) slots *= 4;
  if (slots != slots_.size()) growth += slots * sizeof(Slot);
  if (wanted > strings_.capacity()) growth += std::max(wanted, strings_.capacity() * 2) * sizeof(std::string_view);
  if (arena_used_ + strings * 16 > arena_size_) growth += NextArena();
  return growth;
}

std::uint32_t StringDictionary::Add(std::string_view text, std::uint32_t hash) {
  if (arena_.empty() || arena_used_ + text.size() > arena_size_) {
    arena_size_ = std::max<std::size_t>(text.size(), NextArena());
    arena_used_ = 0;
    arena_bytes_ += arena_size_;
    arena_.emplace_back(arena_size_);
  }
  // The empty text needs no place, and may be the first of all, when there is none yet.
  if (text.empty()) {
    strings_.emplace_back("");
  } else {
    char* at = arena_.back().data() + arena_used_;
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
  std::pmr::vector<Slot> old(slots_.size() * 4, slots_.get_allocator());
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
