#include "sightline/stores/statistics/sql/relations.h"

#include <algorithm>
#include <cctype>
#include <memory>
#include <optional>

namespace sightline::stores::duck {
namespace {

// Given to DuckDB with the function: what it reads.
struct Source {
  StatisticsStore* store;
  Relation relation;
  Schema schema;
};

// One use of the function in a query.
struct Binding {
  TimeRange range;
};

// One scan. `targets` are, for each column that DuckDB asks for, the index in the stream's rows; none for columns without contents.
struct Scan {
  std::unique_ptr<RowStream> stream;
  std::vector<std::optional<std::size_t>> targets;
  ColumnBatch batch;
  std::size_t at = 0;
};

template <typename T>
void Delete(void* object) {
  delete static_cast<T*>(object);
}

std::optional<std::int64_t> NamedInt(duckdb_bind_info info, const char* name) {
  duckdb_value value = duckdb_bind_get_named_parameter(info, name);
  if (value == nullptr) return std::nullopt;
  std::optional<std::int64_t> number;
  if (!duckdb_is_null_value(value)) number = duckdb_get_int64(value);
  duckdb_destroy_value(&value);
  return number;
}

void Bind(duckdb_bind_info info) {
  const auto* source = static_cast<const Source*>(duckdb_bind_get_extra_info(info));
  for (const Field& field : source->schema.fields) {
    duckdb_logical_type type = duckdb_create_logical_type(TypeOf(field.type));
    duckdb_bind_add_result_column(info, field.name.c_str(), type);
    duckdb_destroy_logical_type(&type);
  }
  auto binding = std::make_unique<Binding>();
  if (const auto from = NamedInt(info, "low")) binding->range.from = EventTime(*from);
  if (const auto to = NamedInt(info, "high")) binding->range.to = EventTime(*to);
  duckdb_bind_set_bind_data(info, binding.release(), Delete<Binding>);
}

void Init(duckdb_init_info info) {
  const auto* source = static_cast<const Source*>(duckdb_init_get_extra_info(info));
  const auto* binding = static_cast<const Binding*>(duckdb_init_get_bind_data(info));
  auto scan = std::make_unique<Scan>();
  RowQuery query{.pipeline = source->relation.table.shape.pipeline,
                 .filters = source->relation.grants,
                 .range = binding->range,
                 .order = RowQuery::Order::kNone};
  for (idx_t i = 0; i < duckdb_init_get_column_count(info); ++i) {
    const idx_t column = duckdb_init_get_column_index(info, i);
    // count(*) asks for a column that is none.
    if (column >= source->schema.fields.size()) {
      scan->targets.emplace_back();
      continue;
    }
    scan->targets.emplace_back(query.columns.size());
    query.columns.push_back(source->schema.fields[column].name);
  }
  if (query.columns.empty()) query.columns.emplace_back("window_start");
  auto stream = source->store->Select(query);
  if (!stream) {
    duckdb_init_set_error(info, stream.error().message.c_str());
    return;
  }
  scan->stream = *std::move(stream);
  duckdb_init_set_max_threads(info, 1);
  duckdb_init_set_init_data(info, scan.release(), Delete<Scan>);
}

void CopyColumn(const Column& column, std::size_t from, std::size_t count, duckdb_vector to) {
  void* data = duckdb_vector_get_data(to);
  switch (column.type) {
    case FieldType::kInt64: std::copy_n(column.int64s.data() + from, count, static_cast<std::int64_t*>(data)); break;
    case FieldType::kDouble: std::copy_n(column.doubles.data() + from, count, static_cast<double*>(data)); break;
    case FieldType::kBool:
      for (std::size_t i = 0; i < count; ++i) static_cast<std::uint8_t*>(data)[i] = column.int64s[from + i] != 0;
      break;
    case FieldType::kString:
      // What a store gives back is UTF-8: it was checked on its way in.
      for (std::size_t i = 0; i < count; ++i) {
        if (column.IsNull(from + i)) continue;
        duckdb_unsafe_vector_assign_string_element_len(to, i, column.strings[from + i].data(), column.strings[from + i].size());
      }
      break;
  }
  if (column.nulls.empty()) return;
  duckdb_vector_ensure_validity_writable(to);
  std::uint64_t* validity = duckdb_vector_get_validity(to);
  for (std::size_t i = 0; i < count; ++i) {
    if (column.IsNull(from + i)) duckdb_validity_set_row_invalid(validity, i);
  }
}

void Read(duckdb_function_info info, duckdb_data_chunk output) {
  auto* scan = static_cast<Scan*>(duckdb_function_get_init_data(info));
  if (scan->at == scan->batch.rows) {
    scan->at = 0;
    auto more = scan->stream->Next(scan->batch);
    if (!more) {
      duckdb_function_set_error(info, more.error().message.c_str());
      return;
    }
    if (!*more) {
      duckdb_data_chunk_set_size(output, 0);
      return;
    }
  }
  const std::size_t count = std::min<std::size_t>(scan->batch.rows - scan->at, duckdb_vector_size());
  for (std::size_t i = 0; i < scan->targets.size(); ++i) {
    if (!scan->targets[i]) continue;
    CopyColumn(scan->batch.columns[*scan->targets[i]], scan->at, count, duckdb_data_chunk_get_vector(output, i));
  }
  duckdb_data_chunk_set_size(output, count);
  scan->at += count;
}

Status Register(Connection& connection, const std::string& name, std::unique_ptr<Source> source) {
  duckdb_table_function function = duckdb_create_table_function();
  duckdb_logical_type bigint = duckdb_create_logical_type(DUCKDB_TYPE_BIGINT);
  duckdb_table_function_set_name(function, name.c_str());
  duckdb_table_function_add_named_parameter(function, "low", bigint);
  duckdb_table_function_add_named_parameter(function, "high", bigint);
  duckdb_table_function_set_extra_info(function, source.release(), Delete<Source>);
  duckdb_table_function_set_bind(function, Bind);
  duckdb_table_function_set_init(function, Init);
  duckdb_table_function_set_function(function, Read);
  duckdb_table_function_supports_projection_pushdown(function, true);
  const duckdb_state state = duckdb_register_table_function(connection.handle(), function);
  duckdb_destroy_logical_type(&bigint);
  duckdb_destroy_table_function(&function);
  if (state != DuckDBSuccess) return Fail(ErrorKind::kInternal, "DuckDB refuses the table function " + name);
  return {};
}

}  // namespace

std::string BetweenName(const Relation& relation) {
  std::string name = relation.table.shape.pipeline + "_between";
  std::ranges::transform(name, name.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return name;
}

Status ShowRelation(Connection& connection, StatisticsStore& store, const Relation& relation, int number) {
  const std::string function = "sightline_rows_" + std::to_string(number);
  SL_TRY(Register(connection, function, std::make_unique<Source>(Source{&store, relation, RowSchema(relation.table.shape)})));
  SL_TRY(connection.Execute("CREATE VIEW " + Quote(relation.table.shape.pipeline) + " AS SELECT * FROM " + function + "()"));
  return connection.Execute("CREATE MACRO " + Quote(BetweenName(relation)) + "(from_ms, to_ms) AS TABLE SELECT * FROM " + function +
                            "(low = from_ms::BIGINT, high = to_ms::BIGINT)");
}

}  // namespace sightline::stores::duck
