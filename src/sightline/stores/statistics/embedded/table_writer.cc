#include "sightline/stores/statistics/embedded/table_writer.h"

#include <algorithm>
#include <set>
#include <span>

namespace sightline::stores::duck {
namespace {

void PutColumn(const Appender& to, std::size_t target, duckdb_vector vector, const Column& column, std::span<const RowRef> rows) {
  void* data = duckdb_vector_get_data(vector);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const std::size_t row = rows[i].row;
    if (column.IsNull(row)) {
      to.SetNull(target, i);
      continue;
    }
    switch (column.type) {
      case FieldType::kInt64: static_cast<std::int64_t*>(data)[i] = column.int64s[row]; break;
      case FieldType::kBool: static_cast<std::uint8_t*>(data)[i] = column.int64s[row] != 0; break;
      case FieldType::kDouble: static_cast<double*>(data)[i] = column.doubles[row]; break;
      case FieldType::kString:
        // ResultBatch has checked that it is UTF-8.
        duckdb_unsafe_vector_assign_string_element_len(vector, i, column.strings[row].data(), column.strings[row].size());
        break;
    }
  }
}

std::string KeyColumns(std::size_t count, std::string_view prefix) {
  std::string list;
  for (std::size_t i = 0; i < count; ++i) list += ", " + std::string(prefix) + "k" + std::to_string(i);
  return list;
}

}  // namespace

Status TableWriter::Stage(const ResultBatch& batch, const std::vector<std::size_t>& contested) {
  const ResultShape& shape = table_.table.shape;
  std::string create = "CREATE OR REPLACE TEMP TABLE stage(idx BIGINT, window_start BIGINT, revision UINTEGER, partition INTEGER";
  std::vector<duckdb_type> types = {DUCKDB_TYPE_BIGINT, DUCKDB_TYPE_BIGINT, DUCKDB_TYPE_UINTEGER, DUCKDB_TYPE_INTEGER};
  for (std::size_t i = 0; i < shape.group.size(); ++i) {
    const FieldType type = shape.schema.fields[static_cast<std::size_t>(shape.group[i])].type;
    create += ", k" + std::to_string(i) + " " + std::string(SqlTypeOf(type));
    types.push_back(TypeOf(type));
  }
  SL_TRY(connection_.Execute(create + ")"));
  SL_ASSIGN_OR_RETURN(Appender appender, Appender::Open(connection_, "temp", "main", "stage", types));
  for (std::size_t from = 0; from < contested.size(); from += Appender::capacity()) {
    const std::size_t count = std::min(contested.size() - from, Appender::capacity());
    std::vector<RowRef> keys;
    for (std::size_t i = 0; i < count; ++i) {
      const auto& group = batch.groups()[contested[from + i]];
      appender.data<std::int64_t>(0)[i] = static_cast<std::int64_t>(contested[from + i]);
      appender.data<std::int64_t>(1)[i] = group.header.window_start.value;
      appender.data<std::uint32_t>(2)[i] = group.header.revision;
      appender.data<std::int32_t>(3)[i] = group.partition.value;
      keys.push_back({group.begin, &group});
    }
    for (std::size_t k = 0; k < shape.group.size(); ++k) {
      PutColumn(appender, 4 + k, appender.column(4 + k), batch.rows().columns[static_cast<std::size_t>(shape.group[k])], keys);
    }
    SL_TRY(appender.Append(count));
  }
  return appender.Flush();
}

// Makes room for corrections and drops from `chosen` what is outdated.
Status TableWriter::Replace(const ResultBatch& batch, std::vector<std::size_t>& chosen, Applied& applied) {
  std::vector<std::size_t> contested;
  EventTime low{std::numeric_limits<std::int64_t>::max()};
  EventTime high{std::numeric_limits<std::int64_t>::min()};
  for (const std::size_t index : chosen) {
    const auto& group = batch.groups()[index];
    if (!relational::Contested(group, corrected_)) continue;
    contested.push_back(index);
    low = std::min(low, group.header.window_start);
    high = std::max(high, group.header.window_start);
  }
  SL_TRY(Stage(batch, contested));

  const ResultShape& shape = table_.table.shape;
  const std::string range = " BETWEEN " + std::to_string(low.value) + " AND " + std::to_string(high.value);
  std::string group_match = "g.window_start = s.window_start AND g.window_start" + range;
  std::string row_match = "r.window_start = s.window_start AND r.window_start" + range;
  for (std::size_t i = 0; i < shape.group.size(); ++i) {
    const std::string key = "k" + std::to_string(i);
    group_match += " AND g." + key + " IS NOT DISTINCT FROM s." + key;
    row_match += " AND r.c" + std::to_string(shape.group[i]) + " IS NOT DISTINCT FROM s." + key;
  }
  const std::string groups = GroupTable(table_);
  SL_ASSIGN_OR_RETURN(Rows outdated, connection_.Query("SELECT s.idx FROM temp.stage s JOIN " + groups + " g ON " + group_match +
                                                       " WHERE g.revision >= s.revision"));
  std::set<std::size_t> drop;
  while (true) {
    SL_ASSIGN_OR_RETURN(duckdb_data_chunk chunk, outdated.Next());
    if (chunk == nullptr) break;
    const auto* index = static_cast<const std::int64_t*>(duckdb_vector_get_data(duckdb_data_chunk_get_vector(chunk, 0)));
    for (std::size_t i = 0; i < duckdb_data_chunk_get_size(chunk); ++i) drop.insert(static_cast<std::size_t>(index[i]));
  }
  applied.outdated += drop.size();
  std::erase_if(chosen, [&](std::size_t index) { return drop.contains(index); });
  for (const std::size_t index : drop) SL_TRY(connection_.Execute("DELETE FROM temp.stage WHERE idx = " + std::to_string(index)));

  SL_TRY(connection_.Execute("DELETE FROM temp.stage WHERE revision = 0"));
  SL_TRY(connection_.Execute("DELETE FROM " + RowTable(table_) + " AS r USING temp.stage s WHERE " + row_match));
  SL_TRY(connection_.Execute("DELETE FROM " + groups + " AS g USING temp.stage s WHERE " + group_match));
  SL_TRY(connection_.Execute("INSERT INTO " + groups + " SELECT window_start" + KeyColumns(shape.group.size(), "") +
                             ", revision, partition FROM temp.stage"));
  relational::NoteCorrected(batch, chosen, newly_corrected_);
  return {};
}

Status TableWriter::AppendRows(const ResultBatch& batch, const std::vector<std::size_t>& chosen, Applied& applied) {
  const ResultShape& shape = table_.table.shape;
  std::vector<duckdb_type> types = {DUCKDB_TYPE_BIGINT, DUCKDB_TYPE_BIGINT, DUCKDB_TYPE_UTINYINT, DUCKDB_TYPE_UINTEGER,
                                    DUCKDB_TYPE_UINTEGER};
  for (const Field& field : shape.schema.fields) types.push_back(TypeOf(field.type));
  SL_ASSIGN_OR_RETURN(Appender appender, Appender::Open(connection_, nullptr, "sightline", "r" + std::to_string(table_.id), types));

  const std::vector<RowRef> all = relational::RowsOf(batch, chosen);
  for (std::size_t from = 0; from < all.size(); from += Appender::capacity()) {
    const std::span rows = std::span(all).subspan(from, std::min(all.size() - from, Appender::capacity()));
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const ResultHeader& header = rows[i].group->header;
      appender.data<std::int64_t>(0)[i] = header.window_start.value;
      appender.data<std::int64_t>(1)[i] = header.window_end.value;
      appender.data<std::uint8_t>(2)[i] = static_cast<std::uint8_t>(header.state);
      appender.data<std::uint32_t>(3)[i] = header.revision;
      appender.data<std::uint32_t>(4)[i] = static_cast<std::uint32_t>(rows[i].row - rows[i].group->begin);
    }
    for (std::size_t c = 0; c < shape.schema.fields.size(); ++c) {
      PutColumn(appender, 5 + c, appender.column(5 + c), batch.rows().columns[c], rows);
    }
    SL_TRY(appender.Append(rows.size()));
    applied.rows += rows.size();
  }
  return appender.Flush();
}

Status TableWriter::Write(const ResultBatch& batch, std::vector<std::size_t> chosen, Applied& applied) {
  applied.groups += chosen.size();
  const bool contested =
      std::ranges::any_of(chosen, [&](std::size_t index) { return relational::Contested(batch.groups()[index], corrected_); });
  if (contested) {
    chosen = relational::LastRevisions(batch, chosen, table_.table.shape.group);
    const std::uint64_t outdated = applied.outdated;
    SL_TRY(Replace(batch, chosen, applied));
    applied.groups -= applied.outdated - outdated;
  }
  return AppendRows(batch, chosen, applied);
}

}  // namespace sightline::stores::duck
