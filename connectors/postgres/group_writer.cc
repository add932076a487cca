#include "connectors/postgres/group_writer.h"

#include <algorithm>
#include <bit>
#include <map>

#include "connectors/postgres/binary.h"

namespace sightline::postgres {
namespace {

using stores::Applied;
using stores::ResultBatch;
using stores::relational::RowRef;

const char* ArrayType(FieldType type) {
  switch (type) {
    case FieldType::kInt64: return "bigint[]";
    case FieldType::kDouble: return "float8[]";
    case FieldType::kBool: return "boolean[]";
    case FieldType::kString: return "text[]";
  }
  return "text[]";
}

// The key column's values of the groups, none of which is null there.
Parameter KeyArray(const ResultBatch& batch, const Column& column, const std::vector<std::size_t>& groups) {
  const auto gather = [&](const auto& from) {
    std::vector<typename std::decay_t<decltype(from)>::value_type> values;
    values.reserve(groups.size());
    for (const std::size_t index : groups) values.push_back(from[batch.groups()[index].begin]);
    return values;
  };
  switch (column.type) {
    case FieldType::kInt64: return Parameter::Int64s(gather(column.int64s));
    case FieldType::kBool: return Parameter::Bools(gather(column.int64s));
    case FieldType::kDouble: return Parameter::Doubles(gather(column.doubles));
    case FieldType::kString: return Parameter::Texts(gather(column.strings));
  }
  return {};
}

Status PutValue(const Column& column, std::size_t row, const std::string& name, const ResultBatch::Group& group, std::string& out) {
  if (column.IsNull(row)) {
    PutNull(out);
    return {};
  }
  switch (column.type) {
    case FieldType::kInt64: PutSized(out, column.int64s[row]); break;
    case FieldType::kDouble: PutSized(out, column.doubles[row]); break;
    case FieldType::kBool: PutSized(out, static_cast<std::uint8_t>(column.int64s[row] != 0)); break;
    case FieldType::kString:
      if (column.strings[row].find('\0') != std::string_view::npos) {
        return Fail(ErrorKind::kInvalidArgument, "result record at offset " + std::to_string(group.offset.value) + " of partition " +
                                                     std::to_string(group.partition.value) + ": column " + name +
                                                     " holds the character U+0000, which Postgres cannot store");
      }
      PutSized(out, column.strings[row]);
  }
  return {};
}

}  // namespace

// Of groups whose keys are null at the same places: finds which are outdated, removes the stored rows of the others, and notes their
// revisions. Equality of what is not null is what the server can join and look up by.
Status GroupWriter::ReplaceAlike(const ResultBatch& batch, const std::vector<bool>& nulls, const std::vector<std::size_t>& groups,
                                 std::vector<std::size_t>& outdated) {
  const ResultShape& shape = table_.table.shape;
  std::vector<Parameter> parameters;
  std::string arrays;
  std::string names;
  const auto stage = [&](const std::string& name, const char* type, Parameter parameter) {
    parameters.push_back(std::move(parameter));
    arrays += (arrays.empty() ? "$" : ", $") + std::to_string(parameters.size()) + "::" + type;
    names += (names.empty() ? "" : ", ") + name;
  };
  std::vector<std::int64_t> index;
  std::vector<std::int64_t> start;
  std::vector<std::int64_t> end;
  std::vector<std::int64_t> revision;
  for (const std::size_t group : groups) {
    const ResultHeader& header = batch.groups()[group].header;
    index.push_back(static_cast<std::int64_t>(group));
    start.push_back(header.window_start.value);
    end.push_back(header.window_end.value);
    revision.push_back(header.revision);
  }
  stage("idx", "bigint[]", Parameter::Int64s(index));
  stage("window_start", "bigint[]", Parameter::Int64s(start));
  stage("window_end", "bigint[]", Parameter::Int64s(end));
  stage("revision", "bigint[]", Parameter::Int64s(revision));
  std::string rows_match = "r.window_start = s.window_start";
  std::string groups_match = "g.window_start = s.window_start";
  std::string keys;
  for (std::size_t i = 0; i < shape.group.size(); ++i) {
    const std::string key = "k" + std::to_string(i);
    const std::string column = "c" + std::to_string(shape.group[i]);
    if (nulls[i]) {
      rows_match += " AND r." + column + " IS NULL";
      groups_match += " AND g." + key + " IS NULL";
      continue;
    }
    const Column& values = batch.rows().columns[static_cast<std::size_t>(shape.group[i])];
    stage(key, ArrayType(values.type), KeyArray(batch, values, groups));
    rows_match += " AND r." + column + " = s." + key;
    groups_match += " AND g." + key + " = s." + key;
    keys += ", " + key;
  }
  const std::string staged = "unnest(" + arrays + ") AS s(" + names + ")";
  const std::string corrections = layout_.Corrections(table_);
  SL_ASSIGN_OR_RETURN(const Answer old, connection_.Query("SELECT s.idx FROM " + staged + " JOIN " + corrections + " g ON " + groups_match +
                                                              " WHERE g.revision >= s.revision",
                                                          parameters));
  std::vector<std::int64_t> dropped;
  for (std::size_t row = 0; row < old.rows(); ++row) dropped.push_back(old.Int64(row, 0));
  for (const std::int64_t one : dropped) outdated.push_back(static_cast<std::size_t>(one));
  parameters.push_back(Parameter::Int64s(dropped));
  const std::string current = "s.revision > 0 AND s.idx <> ALL ($" + std::to_string(parameters.size()) + "::bigint[])";
  SL_TRY(connection_.Query("DELETE FROM " + layout_.Rows(table_) + " r USING " + staged + " WHERE " + rows_match + " AND " + current,
                           parameters));
  SL_TRY(connection_.Query("DELETE FROM " + corrections + " g USING " + staged + " WHERE " + groups_match + " AND " + current, parameters));
  SL_TRY(connection_.Query("INSERT INTO " + corrections + "(window_start, window_end, revision" + keys +
                               ") SELECT window_start, window_end, revision" + keys + " FROM " + staged + " WHERE " + current,
                           parameters));
  return {};
}

// Makes room for corrections and drops from `chosen` what is outdated.
Status GroupWriter::Replace(const ResultBatch& batch, std::vector<std::size_t>& chosen, Applied& applied) {
  const ResultShape& shape = table_.table.shape;
  std::map<std::vector<bool>, std::vector<std::size_t>> alike;
  for (const std::size_t index : chosen) {
    const auto& group = batch.groups()[index];
    if (!stores::relational::Contested(group, corrected_)) continue;
    std::vector<bool> nulls;
    for (const int key : shape.group) nulls.push_back(batch.rows().columns[static_cast<std::size_t>(key)].IsNull(group.begin));
    alike[nulls].push_back(index);
  }
  std::vector<std::size_t> outdated;
  for (const auto& [nulls, groups] : alike) SL_TRY(ReplaceAlike(batch, nulls, groups, outdated));
  std::ranges::sort(outdated);
  applied.outdated += outdated.size();
  std::erase_if(chosen, [&](std::size_t index) { return std::ranges::binary_search(outdated, index); });
  stores::relational::NoteCorrected(batch, chosen, newly_corrected_);
  return {};
}

Status GroupWriter::CopyRows(const ResultBatch& batch, const std::vector<std::size_t>& chosen, Applied& applied) {
  const ResultShape& shape = table_.table.shape;
  const std::vector<RowRef> rows = stores::relational::RowsOf(batch, chosen);
  if (rows.empty()) return {};
  std::string list;
  for (const StoredColumn& column : RowColumns(shape)) list += (list.empty() ? "" : ", ") + column.name;
  const auto fields = static_cast<std::int16_t>(5 + shape.schema.fields.size());
  std::string body;
  body.reserve(rows.size() * (56 + shape.schema.fields.size() * 16));
  for (const auto& [row, group] : rows) {
    const ResultHeader& header = group->header;
    PutBe(body, fields);
    PutSized(body, header.window_start.value);
    PutSized(body, header.window_end.value);
    PutSized(body, static_cast<std::int64_t>(header.revision));
    PutSized(body, static_cast<std::int32_t>(row - group->begin));
    PutSized(body, static_cast<std::int16_t>(header.state));
    for (std::size_t c = 0; c < shape.schema.fields.size(); ++c) {
      SL_TRY(PutValue(batch.rows().columns[c], row, shape.schema.fields[c].name, *group, body));
    }
  }
  SL_ASSIGN_OR_RETURN(const std::uint64_t copied,
                      connection_.CopyIn("COPY " + layout_.Rows(table_) + "(" + list + ") FROM STDIN (FORMAT binary)", body));
  // A trigger that somebody has put there may swallow rows.
  if (copied != rows.size()) {
    return Fail(ErrorKind::kFailedPrecondition, layout_.Rows(table_) + " took " + std::to_string(copied) + " of " +
                                                    std::to_string(rows.size()) +
                                                    " rows: a trigger or rule was put on it by hand; remove it");
  }
  applied.rows += copied;
  return {};
}

Status GroupWriter::Write(const ResultBatch& batch, std::vector<std::size_t> chosen, Applied& applied) {
  applied.groups += chosen.size();
  const bool contested =
      std::ranges::any_of(chosen, [&](std::size_t index) { return stores::relational::Contested(batch.groups()[index], corrected_); });
  if (contested) {
    chosen = stores::relational::LastRevisions(batch, chosen, table_.table.shape.group);
    const std::uint64_t outdated = applied.outdated;
    SL_TRY(Replace(batch, chosen, applied));
    applied.groups -= applied.outdated - outdated;
  }
  return CopyRows(batch, chosen, applied);
}

}  // namespace sightline::postgres
