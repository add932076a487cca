#pragma once

#include <bit>
#include <cstdint>
#include <string_view>

#include "sightline/base/hash.h"
#include "sightline/model/column_batch.h"
#include "sightline/model/ids.h"

namespace sightline {

// Which partition a record belongs to: a function of the value of its `partition_by` column alone, the same for every
// writer (ingest, gate, the simulators), today and after every restart. It is part of the format of a topic: records on
// disk stand where it put them, so it never changes (docs/formats/partitioning.md).
//
//   int64, bool   Mix64(value as unsigned) mod partitions
//   double        Mix64(IEEE-754 bits, -0.0 taken as +0.0) mod partitions
//   string        XXH3-64(bytes, seed 0) mod partitions
//   null          partition 0
class Partitioner {
 public:
  explicit Partitioner(std::int32_t partitions) : partitions_(static_cast<std::uint64_t>(partitions < 1 ? 1 : partitions)) {}

  Partition OfInt64(std::int64_t value) const { return Take(Mix64(static_cast<std::uint64_t>(value))); }
  Partition OfDouble(double value) const { return Take(Mix64(std::bit_cast<std::uint64_t>(value == 0.0 ? 0.0 : value))); }
  Partition OfString(std::string_view value) const { return Take(Hash64(value, 0)); }
  Partition Of(const Column& column, std::size_t row) const {
    if (column.IsNull(row)) return Partition(0);
    switch (column.type) {
      case FieldType::kInt64:
      case FieldType::kBool: return OfInt64(column.int64s[row]);
      case FieldType::kDouble: return OfDouble(column.doubles[row]);
      case FieldType::kString: return OfString(column.strings[row]);
    }
    return Partition(0);
  }
  std::int32_t partitions() const { return static_cast<std::int32_t>(partitions_); }

 private:
  Partition Take(std::uint64_t hash) const { return Partition(static_cast<std::int32_t>(hash % partitions_)); }
  std::uint64_t partitions_;
};

}  // namespace sightline
