#include "sightline/stores/statistics/result_batch.h"

#include <utility>

#include "sightline/base/text.h"
#include "sightline/tabular/append.h"

namespace sightline::stores {

ResultBatch::ResultBatch(Schema schema) : schema_(std::move(schema)) { rows_.Reset(schema_, 0); }

Status ResultBatch::Add(Partition partition, Offset offset, const ResultRecord& record, const ResultShape& shape) {
  const auto place = [&] {
    return "result record at offset " + std::to_string(offset.value) + " of partition " + std::to_string(partition.value);
  };
  if (shape.schema != schema_ || record.rows.columns.size() != schema_.fields.size()) {
    return Fail(ErrorKind::kInvalidArgument, place() + " has another schema than the batch it is added to");
  }
  if (record.rows.rows == 0 && !record.emptied && !shape.group.empty()) {
    return Fail(ErrorKind::kInvalidArgument, place() + " has no rows, so that its group's key is unknown");
  }
  const std::size_t values = record.emptied ? 1 : record.rows.rows;
  for (std::size_t c = 0; c < schema_.fields.size(); ++c) {
    const Column& column = record.rows.columns[c];
    if (column.type != FieldType::kString) continue;
    for (std::size_t row = 0; row < values; ++row) {
      if (!column.IsNull(row) && !IsUtf8(column.strings[row])) {
        return Fail(ErrorKind::kInvalidArgument, place() + ": column " + schema_.fields[c].name + " is not UTF-8");
      }
    }
  }
  const std::size_t begin = rows_.rows;
  tabular::AppendRows(record.rows, 0, values, rows_);
  groups_.push_back({partition, offset, record.header, begin, record.emptied ? begin : rows_.rows});
  return {};
}

void ResultBatch::Clear() {
  rows_.Reset(schema_, 0);
  groups_.clear();
}

}  // namespace sightline::stores
