#pragma once

#include <cstdint>
#include <memory_resource>
#include <string_view>
#include <vector>

#include "sightline/base/bytes.h"
#include "sightline/base/hash.h"

namespace sightline::flow {

// Gives each distinct string a small number, 0, 1, 2 …, and keeps its bytes. Not thread-safe. Strings live as long as the
// dictionary; a generation of it is dropped with the windows that used it.
class StringDictionary {
 public:
  // `memory`: where it lives, which must outlive it.
  explicit StringDictionary(std::pmr::memory_resource* memory = std::pmr::get_default_resource());
  std::uint32_t Intern(std::string_view text) {
    const std::uint32_t hash = HashOf(text);
    for (std::uint32_t at = hash & mask_;; at = (at + 1) & mask_) {
      const Slot& slot = slots_[at];
      if (slot.id_plus_one == 0) return Add(text, hash);
      if (slot.hash == hash && Same(strings_[slot.id_plus_one - 1], text)) return slot.id_plus_one - 1;
    }
  }
  std::string_view at(std::uint32_t id) const { return strings_[id]; }
  std::uint32_t size() const { return static_cast<std::uint32_t>(strings_.size()); }
  // Bytes taken at most when `strings` new ones come; their text is put at 16 bytes each.
  std::size_t GrowthFor(std::size_t strings) const;
  std::size_t bytes() const { return arena_bytes_ + slots_.size() * sizeof(Slot) + strings_.capacity() * sizeof(std::string_view); }

 private:
  struct Slot {
    std::uint32_t hash = 0;
    std::uint32_t id_plus_one = 0;
  };
  // Names are short for the most part: two loads tell them apart.
  static bool Same(std::string_view a, std::string_view b) {
    const std::size_t size = a.size();
    if (size != b.size()) return false;
    if (size >= 8 && size <= 16) {
      return LoadLe<std::uint64_t>(a.data()) == LoadLe<std::uint64_t>(b.data()) &&
             LoadLe<std::uint64_t>(a.data() + size - 8) == LoadLe<std::uint64_t>(b.data() + size - 8);
    }
    if (size >= 4 && size < 8) {
      return LoadLe<std::uint32_t>(a.data()) == LoadLe<std::uint32_t>(b.data()) &&
             LoadLe<std::uint32_t>(a.data() + size - 4) == LoadLe<std::uint32_t>(b.data() + size - 4);
    }
    return a == b;
  }
  std::uint32_t HashOf(std::string_view text) const {
    const std::size_t size = text.size();
    std::uint64_t low = 0;
    std::uint64_t high = 0;
    if (size > 16) return static_cast<std::uint32_t>(Hash64(text, seed_));
    if (size >= 8) {
      low = LoadLe<std::uint64_t>(text.data());
      high = LoadLe<std::uint64_t>(text.data() + size - 8);
    } else if (size >= 4) {
      low = LoadLe<std::uint32_t>(text.data());
      high = LoadLe<std::uint32_t>(text.data() + size - 4);
    } else if (size > 0) {
      low = static_cast<unsigned char>(text[0]);
      high = static_cast<std::uint64_t>(static_cast<unsigned char>(text[size / 2])) << 8 | static_cast<unsigned char>(text[size - 1]);
    }
    return static_cast<std::uint32_t>(Mix64((low ^ seed_) * 0x9e3779b97f4a7c15ULL + high + size));
  }
  std::uint32_t Add(std::string_view text, std::uint32_t hash);
  void Grow();
  std::size_t NextArena() const;

  std::uint64_t seed_;
  std::uint32_t mask_;
  std::pmr::vector<Slot> slots_;
  std::pmr::vector<std::string_view> strings_;
  std::pmr::vector<std::pmr::vector<char>> arena_;
  std::size_t arena_used_ = 0;
  std::size_t arena_size_ = 0;
  std::size_t arena_bytes_ = 0;
};

}  // namespace sightline::flow
