#pragma once

#include <cstdint>
#include <memory>
#include <memory_resource>
#include <span>
#include <unordered_set>
#include <vector>

#include "sightline/base/bytes.h"
#include "sightline/base/int128.h"
#include "sightline/base/result.h"
#include "sightline/flow/plan.h"
#include "sightline/flow/string_dictionary.h"
#include "sightline/model/column_batch.h"

namespace sightline::flow {

// The running values of one aggregate, one a group, in arrays indexed by group number. Not thread-safe.
//
// sum and avg of int64 are exact in 128 bits; doubles are added in record order. min and max keep the value; texts compare by
// byte order and are kept by dictionary number. count_distinct keeps the exact set.
class AggregateColumn {
 public:
  // `memory`: where it lives, which must outlive it.
  explicit AggregateColumn(const Aggregate& aggregate, std::pmr::memory_resource* memory = std::pmr::get_default_resource());
  AggregateColumn(AggregateColumn&&) = default;
  AggregateColumn& operator=(AggregateColumn&&) = default;

  void Resize(std::size_t groups);
  // Takes in row `row` of `input` (null values change nothing); not called for count().
  void Add(std::uint32_t group, const Column& input, std::uint32_t row, StringDictionary& texts);
  // Calls a group's values into the cache, some records before they are needed.
  void Fetch(std::uint32_t group) const {
    __builtin_prefetch(counts_.data() + group, 1);
    __builtin_prefetch(sums_.data() + group, 1);
    __builtin_prefetch(values_.data() + group, 1);
  }
  // Adds another pane's values of these groups; Subtract undoes it (invertible() only).
  void Merge(const AggregateColumn& other, std::span<const std::uint32_t> groups, const StringDictionary& texts);
  void Subtract(const AggregateColumn& other, std::span<const std::uint32_t> groups);
  // Merges one group of another column of the same aggregate into one of this.
  void MergeGroup(std::uint32_t into, const AggregateColumn& other, std::uint32_t from, const StringDictionary& texts);
  bool invertible() const;
  void Clear();

  // The results of `groups`. `overflow[i]` is set where an int64 sum does not fit; the value is null then.
  void Materialise(std::span<const std::uint32_t> groups, const StringDictionary& texts, Column& into,
                   std::vector<std::uint8_t>& overflow) const;
  void Remap(const std::vector<std::uint32_t>& moved, std::size_t groups);
  // Its texts get the numbers that they have in `to`.
  void RenumberTexts(const StringDictionary& from, StringDictionary& to);
  // Bytes a group takes, the values of count_distinct apart.
  std::size_t width() const;
  bool keeps_texts() const;
  std::size_t bytes() const;
  void Save(std::uint32_t group, ByteWriter& out, const StringDictionary& texts) const;
  void Load(std::uint32_t group, ByteReader& in, StringDictionary& texts);

 private:
  bool Doubles() const { return aggregate_.input_type == FieldType::kDouble; }
  bool Texts() const { return aggregate_.input_type == FieldType::kString; }
  bool Less(std::int64_t a, std::int64_t b, const StringDictionary& texts) const;

  // Sets are many small pieces that go all at once.
  struct Sets {
    explicit Sets(std::pmr::memory_resource* memory)
        : pool({.max_blocks_per_chunk = 1 << 16, .largest_required_pool_block = 4096}, memory) {}
    std::pmr::unsynchronized_pool_resource pool;
    std::pmr::vector<std::pmr::unordered_set<std::uint64_t>> of{&pool};  // a group
  };

  Aggregate aggregate_;
  std::pmr::memory_resource* memory_;
  std::pmr::vector<std::uint64_t> counts_;   // values taken in, where a null result must be told from zero
  std::pmr::vector<Int128> sums_;
  std::pmr::vector<std::int64_t> values_;    // min and max: integers, bits of doubles, text numbers
  std::pmr::vector<double> double_sums_;
  std::unique_ptr<Sets> sets_;               // of count_distinct
};

}  // namespace sightline::flow
