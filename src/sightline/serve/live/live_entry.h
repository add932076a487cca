#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "sightline/model/column_batch.h"
#include "sightline/model/live.h"
#include "sightline/model/result.h"

namespace sightline::serve {

// A group's identity on the board: the values of its key as text, for filters, and as JSON. Immutable, shared.
struct LiveKey {
  std::uint32_t id = 0;              // dense within a pipeline, in order of first appearance
  std::vector<std::string> values;   // LiveText of each group column
  std::string json;                  // {"geographical_location_oid":"12"}
};

// The text by which filters and key values are compared: decimal, shortest double, true or false, the string itself; null is
// a text that no value has.
std::string LiveText(const Column& column, std::size_t row);
extern const std::string_view kLiveNull;

// One group of one window as it stood when it was published. Immutable but for its JSON, which is made when the first client
// needs it and then shared by all; so a publication that nobody watches costs no formatting. Thread-safe.
class LiveEntry {
 public:
  LiveEntry(std::shared_ptr<const ResultShape> shape, const LiveGroup& group);

  const ResultHeader& header() const { return header_; }
  const LiveKey& key() const { return *key_; }
  const std::shared_ptr<const LiveKey>& shared_key() const { return key_; }
  std::uint64_t version() const { return version_; }
  // No rows: the group has become empty.
  bool empty() const { return row_count_ == 0; }
  // The group as the API's live messages show it.
  const std::string& Json() const;
  // Appends the rows to a batch of the shape's schema; strings are copied into it.
  void AppendRows(ColumnBatch& to) const;

  // Set once by the board, before anyone else sees the entry.
  void Place(std::shared_ptr<const LiveKey> key, std::uint64_t version) {
    key_ = std::move(key);
    version_ = version;
  }

 private:
  std::string MakeJson() const;

  std::shared_ptr<const ResultShape> shape_;
  std::shared_ptr<const LiveKey> key_;
  std::uint64_t version_ = 0;
  ResultHeader header_;
  std::size_t row_count_ = 0;
  std::string rows_;  // values one after the other: a null byte, then 8 bytes, or a varint and the string
  mutable std::once_flag json_once_;
  mutable std::string json_;
};

// The bytes that identify a group within its pipeline, and its key without an id.
std::string LiveKeyBytes(const ResultShape& shape, const ColumnBatch& rows, std::size_t row);
LiveKey MakeLiveKey(const ResultShape& shape, const ColumnBatch& rows, std::size_t row);

}  // namespace sightline::serve
