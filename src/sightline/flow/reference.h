#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "sightline/base/result.h"
#include "sightline/model/column_batch.h"
#include "sightline/model/schema.h"
#include "sightline/model/time.h"
#include "sightline/runtime/clock.h"

namespace sightline::flow {

// One version of a reference table, immutable once made; shared by all partitions that joined with it.
class ReferenceTable {
 public:
  // Takes over `rows` (its strings must live in its own arena). kInvalidArgument when two rows have the same
  // key or a key is null: the message names them.
  static Result<std::shared_ptr<const ReferenceTable>> Make(std::string name, std::uint64_t version, Schema schema, int key,
                                                            ColumnBatch rows);

  // Row with the key at `row` of `column`, or -1. The column has the key's type.
  std::int64_t Find(const Column& column, std::size_t row) const;
  std::int64_t FindInt64(std::int64_t key) const;
  std::int64_t FindString(std::string_view key) const;

  const std::string& name() const { return name_; }
  // Rises by one with each reload that changed something; the first is 1.
  std::uint64_t version() const { return version_; }
  const Schema& schema() const { return schema_; }
  const ColumnBatch& rows() const { return rows_; }
  int key() const { return key_; }

  // The table as bytes, kept for replays of input that was joined with it. Layout: docs/formats/reference.md.
  std::string Serialize() const;
  static Result<std::shared_ptr<const ReferenceTable>> Deserialize(std::string name, Schema schema, int key, std::string bytes);

 private:
  ReferenceTable() = default;
  Status BuildIndex();

  std::string name_;
  std::uint64_t version_ = 0;
  Schema schema_;
  int key_ = 0;
  ColumnBatch rows_;
  std::unordered_map<std::int64_t, std::int64_t> by_int64_;
  std::unordered_map<std::string_view, std::int64_t> by_string_;
};

using ReferenceHandle = std::shared_ptr<const ReferenceTable>;

// The newest version of each reference. Thread-safe; a reload swaps the table in and workers take it up between two batches.
class ReferenceCatalog {
 public:
  // With a clock it knows since when a version is in effect.
  explicit ReferenceCatalog(const runtime::Clock* clock = nullptr) : clock_(clock) {}
  void Install(ReferenceHandle table);
  // Null when none was installed under that name.
  ReferenceHandle Newest(const std::string& name) const { return InEffect(name).table; }
  struct Version {
    ReferenceHandle table;
    WallTime since;
  };
  Version InEffect(const std::string& name) const;
  // Changes with every Install: workers compare it before they look at the tables.
  std::uint64_t change() const { return change_.load(std::memory_order_acquire); }

 private:
  const runtime::Clock* const clock_;
  mutable std::mutex mutex_;
  std::map<std::string, Version> tables_;
  std::atomic<std::uint64_t> change_{0};
};

// Where kept versions of references are read from when input is processed again.
using ReferenceVersions = std::function<Result<ReferenceHandle>(const std::string& name, std::uint64_t version)>;

}  // namespace sightline::flow
