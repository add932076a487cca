#pragma once

#include <immintrin.h>

#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "sightline/base/bytes.h"
#include "sightline/governance/contract.h"
#include "sightline/governance/pattern.h"
#include "sightline/model/column_batch.h"

namespace sightline::gate {

// One field's rules in the form that the loops test: a lower bound and a span, so that one unsigned comparison covers both ends.
struct FieldPlan {
  FieldType type = FieldType::kInt64;
  bool required = false;
  bool event_time = false;
  bool listed = false;         // one_of or one_of_int64 apply
  bool ruled = false;          // more than bounds: listed, or a pattern
  std::int64_t min = 0;        // kInt64
  std::uint64_t span = 0;      // max - min
  double min_double = 0;
  double max_double = 0;
  std::uint32_t min_length = 0;  // code points
  std::uint32_t length_span = 0;
  std::unique_ptr<governance::Pattern> pattern;
  std::unordered_set<std::string_view> one_of;    // views into the contract
  std::unordered_set<std::int64_t> one_of_int64;

  bool IntegerInBounds(std::int64_t value) const { return static_cast<std::uint64_t>(value) - static_cast<std::uint64_t>(min) <= span; }
  bool LengthInBounds(std::size_t code_points) const { return code_points - min_length <= length_span; }
};

// Finds a field by its name. Open addressing over a hash of the length, the first and the last eight bytes.
class KeyTable {
 public:
  void Build(const Schema& schema);
  // Hash and Find read up to kScanPadding bytes past the key's end.
  static std::uint64_t Hash(const char* key, std::size_t size) {
    std::uint64_t head = LoadLe<std::uint64_t>(key);
    std::uint64_t tail = 0;
    if (size >= 8) [[likely]] {
      tail = LoadLe<std::uint64_t>(key + size - 8);
    } else {
      head &= (std::uint64_t{1} << (size * 8)) - 1;
    }
    return (head ^ size) * 0x9e3779b97f4a7c15ULL + tail * 0xc2b2ae3d27d4eb4fULL;
  }
  int Find(const char* key, std::size_t size, std::uint64_t hash) const {
    for (std::size_t at = hash >> shift_;; at = (at + 1) & mask_) {
      const Entry& entry = entries_[at];
      if (entry.field < 0) return -1;
      if (entry.size == size && Same(entry, key, size)) [[likely]]
        return entry.field;
    }
  }

 private:
  struct Entry {
    const char* name = nullptr;
    std::uint32_t size = 0;
    std::int32_t field = -1;
    std::array<char, 32> head{};  // the name's first 32 bytes, zeros after
  };
  static bool Same(const Entry& entry, const char* key, std::size_t size) {
    const __m256i found = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(key));
    const __m256i wanted = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(entry.head.data()));
    const auto same = static_cast<std::uint32_t>(_mm256_movemask_epi8(_mm256_cmpeq_epi8(found, wanted)));
    if (size <= 32) [[likely]]
      return static_cast<std::size_t>(std::countr_one(same)) >= size;
    return same == ~0U && std::memcmp(key + 32, entry.name + 32, size - 32) == 0;
  }
  std::vector<Entry> entries_;
  std::vector<std::string> names_;
  std::size_t mask_ = 0;
  std::uint32_t shift_ = 63;
};

// Finds a field by the start of its member as producers write it: the name and its closing quote, compared in one go. A hash of the first
// bytes picks the place; a name that lost its place to another is not found here, and KeyTable knows it.
class MemberTable {
 public:
  struct alignas(32) Entry {
    std::array<char, 32> bytes{};
    std::array<char, 32> mask{};  // which of them count
    const char* name = nullptr;   // all of it, for the few that are longer
    std::uint32_t size = 0;       // of name and quote
    std::int32_t field = -1;
    const FieldPlan* plan = nullptr;
  };
  // `fields` must stay where it is.
  void Build(const Schema& schema, const std::vector<FieldPlan>& fields);
  // `p` is behind the opening quote of a name. Reads up to kScanPadding bytes there, and as many behind a matching member.
  const Entry* Find(const char* p) const {
    const Entry& entry = entries_[((LoadLe<std::uint64_t>(p) & head_mask_) * kFactor) >> shift_];
    const __m256i found = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
    const __m256i wanted = _mm256_load_si256(reinterpret_cast<const __m256i*>(entry.bytes.data()));
    const __m256i mask = _mm256_load_si256(reinterpret_cast<const __m256i*>(entry.mask.data()));
    if (_mm256_testz_si256(_mm256_xor_si256(found, wanted), mask) == 0 || entry.field < 0) [[unlikely]]
      return nullptr;
    if (entry.size > 32 && std::memcmp(p + 32, entry.name + 32, entry.size - 32) != 0) [[unlikely]]
      return nullptr;
    return &entry;
  }

 private:
  static constexpr std::uint64_t kFactor = 0x9e3779b97f4a7c15ULL;
  std::vector<Entry> entries_;
  std::vector<std::string> names_;
  std::uint64_t head_mask_ = 0;
  std::uint32_t shift_ = 63;
};

// A contract made ready for decoding. Immutable; refers to the contract, which must outlive it.
struct ContractPlan {
  explicit ContractPlan(const governance::Contract& of);
  const governance::Contract& contract;
  std::vector<FieldPlan> fields;
  KeyTable keys;
  MemberTable members;
  std::unordered_map<std::uint32_t, int> by_number;  // Protobuf
  std::array<std::int16_t, 32> by_small_number{};    // the same for numbers below 32, -1: none
  bool closed = false;

  int FindNumber(std::uint32_t number) const {
    if (number < by_small_number.size()) return by_small_number[number];
    const auto at = by_number.find(number);
    return at == by_number.end() ? -1 : at->second;
  }
};

// Where the row being decoded goes. `values[f]` is the raw buffer of column f.
struct RowTarget {
  ColumnBatch* batch = nullptr;
  std::vector<void*> values;
  std::size_t row = 0;
  std::size_t capacity = 0;

  void Attach(ColumnBatch& to, std::size_t rows_max);
  // Room for that many rows; those there are stay.
  void Widen(std::size_t rows_max);
  std::int64_t& Int64(int field) { return static_cast<std::int64_t*>(values[static_cast<std::size_t>(field)])[row]; }
  double& Double(int field) { return static_cast<double*>(values[static_cast<std::size_t>(field)])[row]; }
  std::string_view& Text(int field) { return static_cast<std::string_view*>(values[static_cast<std::size_t>(field)])[row]; }
  // Only for a row that will be kept.
  void SetNull(int field);
};

}  // namespace sightline::gate
