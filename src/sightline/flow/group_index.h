#pragma once

#include <cstdint>
#include <memory>
#include <memory_resource>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "sightline/base/bytes.h"
#include "sightline/base/result.h"
#include "sightline/flow/string_dictionary.h"
#include "sightline/model/column_batch.h"
#include "sightline/model/schema.h"

namespace sightline::flow {

// Numbers of families, each once, in the order in which they came.
class FamilySet {
 public:
  void Insert(std::uint32_t family) {
    if (family >= has_.size()) [[unlikely]]
      has_.resize(family + family / 2 + 64);
    if (has_[family] != 0) [[likely]]
      return;
    has_[family] = 1;
    all_.push_back(family);
  }
  std::span<const std::uint32_t> all() const { return all_; }

 private:
  std::vector<std::uint8_t> has_;
  std::vector<std::uint32_t> all_;
};

// Numbers the distinct group keys of one partition's open windows: 0, 1, 2 …, in order of arrival. Aggregates are plain arrays
// indexed by these numbers, one array a pane, so that a record costs one look-up whatever the number of panes.
//
// A key is one 64-bit word a column (integers as they are, doubles by bits, texts by dictionary number) and, where a column
// may be null, one more word of null bits. Not thread-safe.
class GroupIndex {
 public:
  // `by`: columns of `rows`. `first`: positions in `by` that make up a result group (one location): rows of one stand together in the
  // canonical order. `family`: positions determined by `first`; groups that agree in them are a family, whose results change together.
  // `memory`: where it lives, which must outlive it.
  GroupIndex(const Schema& rows, std::vector<int> by, const std::vector<int>& first, std::vector<int> family,
             std::pmr::memory_resource* memory = std::pmr::get_default_resource());

  // groups[i] = number of the key of row rows[i].
  void Assign(const ColumnBatch& batch, std::span<const std::uint32_t> rows, std::span<std::uint32_t> groups);
  std::uint32_t size() const { return count_; }
  FieldType type(std::size_t k) const { return types_[k]; }
  // All groups in the canonical order: by the columns of `first`, then the others in turn; integers by value, texts by byte
  // order, null last. It does not depend on the order of arrival.
  std::span<const std::uint32_t> Sorted();
  // The values of key column `k` for `groups`, into a column of the same length.
  void Materialise(std::size_t k, std::span<const std::uint32_t> groups, Column& into) const;
  // Families are numbered in order of arrival, too. Members come in canonical order.
  std::uint32_t FamilyOf(std::uint32_t group);
  std::span<const std::uint32_t> Members(std::uint32_t family);
  // The members of several families: family by family, or in the canonical order of all.
  enum class Order : std::uint8_t { kAny, kCanonical };
  std::vector<std::uint32_t> MembersOf(const FamilySet& families, Order order);
  std::int64_t Int64At(std::size_t k, std::uint32_t group) const { return static_cast<std::int64_t>(word(group, k)); }
  std::string_view StringAt(std::size_t k, std::uint32_t group) const { return strings_.at(static_cast<std::uint32_t>(word(group, k))); }
  bool IsNull(std::size_t k, std::uint32_t group) const { return nullable_ && (word(group, by_.size()) >> k & 1) != 0; }
  std::size_t bytes() const;
  // Bytes taken at most when `groups` new ones come.
  std::size_t GrowthFor(std::size_t groups) const;

  void Save(ByteWriter& out) const;
  Status Load(ByteReader& in);
  // Drops groups without `alive` and numbers the others in the canonical order; returns the new number of each old one (or kGone).
  static constexpr std::uint32_t kGone = 0xffffffff;
  std::vector<std::uint32_t> Compact(const std::vector<std::uint8_t>& alive);
  // Numbers all groups in the canonical order, so that whoever walks them in it reads memory from front to back; returns the new number of
  // each old one. Families keep theirs.
  std::vector<std::uint32_t> Renumber();
  // Groups below this number stand in the canonical order already; Tail gives the others in it, each with the first of those that it
  // stands before.
  std::uint32_t in_order() const { return in_order_; }
  struct TailGroup {
    std::uint32_t before = 0;
    std::uint32_t group = 0;
  };
  std::span<const TailGroup> Tail();

 private:
  struct Slot {
    std::uint32_t tag = 0;
    std::uint32_t group_plus_one = 0;
  };
  std::uint64_t word(std::uint32_t group, std::size_t k) const { return words_[group * stride_ + k]; }
  void KeyWords(const ColumnBatch& batch, std::span<const std::uint32_t> rows, std::size_t k, std::uint64_t* words);
  std::uint64_t HashOf(const std::uint64_t* words) const;
  std::uint32_t FindOrAdd(std::uint64_t hash, const std::uint64_t* words);
  void Grow();
  int Compare(std::uint32_t a, std::uint32_t b) const;
  std::uint64_t OrderWord(std::size_t k, std::uint32_t group) const;
  void RankTexts();
  void Sort(std::span<std::uint32_t> groups);
  void AssignFamilies();

  std::vector<int> by_;
  std::vector<int> family_;
  std::vector<std::size_t> order_;  // key columns in the order of comparison
  std::vector<FieldType> types_;
  bool nullable_ = false;
  std::size_t stride_;
  std::uint64_t seed_;
  StringDictionary strings_;
  std::pmr::memory_resource* memory_;
  std::pmr::vector<std::uint64_t> words_;
  std::uint32_t count_ = 0;
  std::pmr::vector<Slot> slots_;
  std::uint64_t mask_;
  std::pmr::vector<std::uint32_t> ranks_;  // of the first texts of strings_, in byte order
  std::pmr::vector<std::uint32_t> sorted_;
  std::uint32_t in_order_ = 0;
  std::pmr::vector<TailGroup> tail_;
  // Many small pieces that go all at once.
  struct Families {
    explicit Families(std::pmr::memory_resource* memory)
        : pool({.max_blocks_per_chunk = 1 << 16, .largest_required_pool_block = 4096}, memory) {}
    std::pmr::unsynchronized_pool_resource pool;
    std::pmr::vector<std::uint32_t> of{&pool};  // a group
    std::pmr::vector<std::pmr::vector<std::uint32_t>> members{&pool};  // a family
    std::pmr::vector<std::uint8_t> sorted{&pool};  // a family: are its members?
    std::pmr::unordered_map<std::pmr::string, std::uint32_t> numbers{&pool};  // by the words of the family's columns
  };
  std::unique_ptr<Families> families_;
  std::vector<std::uint64_t> scratch_words_;
  std::vector<std::uint64_t> scratch_hashes_;
};

}  // namespace sightline::flow
