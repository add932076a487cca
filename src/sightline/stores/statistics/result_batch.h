#pragma once

#include <cstddef>
#include <vector>

#include "sightline/base/result.h"
#include "sightline/model/column_batch.h"
#include "sightline/model/ids.h"
#include "sightline/model/result.h"

namespace sightline::stores {

// Result records on their way into a store: the rows of all groups (and the keys of emptied ones) one after another in one batch of
// columns, and for each group where it came from. Copies what it is given, so that the bytes behind a record may go. Not thread-safe.
class ResultBatch {
 public:
  struct Group {
    Partition partition;
    Offset offset;
    ResultHeader header;
    std::size_t begin = 0;  // rows [begin, end); none when the group was emptied: row `begin` is its key then, and no row of any group
    std::size_t end = 0;
  };

  explicit ResultBatch(Schema schema);

  // Adds a group; a `closed` record is not one. kInvalidArgument for text that is not UTF-8, for a schema other than the batch's,
  // and for a record that has neither rows nor a key, unless the window is the whole group.
  Status Add(Partition partition, Offset offset, const ResultRecord& record, const ResultShape& shape);
  void Clear();

  const Schema& schema() const { return schema_; }
  const ColumnBatch& rows() const { return rows_; }
  const std::vector<Group>& groups() const { return groups_; }

 private:
  Schema schema_;
  ColumnBatch rows_;
  std::vector<Group> groups_;
};

}  // namespace sightline::stores
