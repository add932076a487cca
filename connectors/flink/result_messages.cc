#include "connectors/flink/result_messages.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <limits>
#include <numeric>

#include <nlohmann/json.hpp>

#include "sightline/base/text.h"

namespace sightline::flink {
namespace {

using nlohmann::json;

std::unexpected<Error> Damaged(const std::string& pipeline, const std::string& what, std::string_view message) {
  return Fail(ErrorKind::kCorruption,
              "a message that Flink wrote for " + pipeline + " " + what + ": " + std::string(message.substr(0, 300)));
}

std::string_view Keep(ColumnBatch& batch, std::string_view text) {
  if (text.empty()) return "";
  char* const at = batch.Allocate(text.size());
  std::memcpy(at, text.data(), text.size());
  return {at, text.size()};
}

void PutNull(Column& column, std::size_t row, std::size_t rows) {
  if (column.nulls.empty()) column.nulls.assign(rows, 0);
  column.nulls[row] = 1;
}

// False where the value is of another type.
bool PutValue(const json& value, FieldType type, std::size_t row, ColumnBatch& batch, Column& column) {
  switch (type) {
    case FieldType::kInt64:
      if (!value.is_number_integer()) return false;
      column.int64s[row] = value.get<std::int64_t>();
      return true;
    case FieldType::kBool:
      if (!value.is_boolean()) return false;
      column.int64s[row] = value.get<bool>() ? 1 : 0;
      return true;
    case FieldType::kDouble:
      if (value.is_string()) {  // what JSON has no number for
        const auto text = value.get<std::string>();
        column.doubles[row] = text == "NaN" ? std::numeric_limits<double>::quiet_NaN()
                                            : (text.starts_with('-') ? -1 : 1) * std::numeric_limits<double>::infinity();
        return true;
      }
      if (!value.is_number()) return false;
      column.doubles[row] = value.get<double>();
      return true;
    case FieldType::kString:
      if (!value.is_string()) return false;
      column.strings[row] = Keep(batch, value.get_ref<const std::string&>());
      return true;
  }
  return false;
}

// What the rows of a result are in order of: the columns of the nearest ranking or grouping above them.
std::vector<int> OrderOf(const flow::Plan& plan, const flow::PipelinePlan& pipeline) {
  std::vector<int> order;
  const auto add = [&](const std::string& name) {
    const int column = pipeline.shape.schema.Find(name);
    if (column >= 0 && std::ranges::find(order, column) == order.end()) order.push_back(column);
  };
  for (const int column : pipeline.shape.group) add(pipeline.shape.schema.fields[static_cast<std::size_t>(column)].name);
  const auto add_all = [&](const Schema& schema, const std::vector<int>& columns) {
    for (const int column : columns) add(schema.fields[static_cast<std::size_t>(column)].name);
  };
  for (const flow::PipelinePlan* at = &pipeline;; at = &plan.pipelines[static_cast<std::size_t>(at->parent)]) {
    for (std::size_t i = at->close_ops.size(); i-- > 0;) {
      if (const auto* rank = std::get_if<flow::RankOp>(&at->close_ops[i])) {
        add_all(at->close_schemas[i], rank->within);
        add("rank");
        return order;
      }
      if (const auto* regroup = std::get_if<flow::RegroupOp>(&at->close_ops[i])) {
        add_all(at->close_schemas[i], regroup->by);
        return order;
      }
    }
    if (at->parent < 0) {
      add_all(at->rows, at->group_by);
      return order;
    }
  }
}

// Integers and truth by value, texts by bytes, null last.
int Compare(const Column& column, std::size_t a, std::size_t b) {
  if (column.IsNull(a) || column.IsNull(b)) return static_cast<int>(column.IsNull(a)) - static_cast<int>(column.IsNull(b));
  switch (column.type) {
    case FieldType::kInt64:
    case FieldType::kBool: return column.int64s[a] < column.int64s[b] ? -1 : column.int64s[a] > column.int64s[b];
    case FieldType::kDouble: return column.doubles[a] < column.doubles[b] ? -1 : column.doubles[a] > column.doubles[b];
    case FieldType::kString: return column.strings[a].compare(column.strings[b]);
  }
  return 0;
}

}  // namespace

Result<EventTime> ParseFlinkTime(std::string_view text) {
  const auto refuse = [&] { return Fail(ErrorKind::kCorruption, "\"" + std::string(text) + "\" is no time as Flink writes it"); };
  std::string_view rest = text;
  const bool before = rest.starts_with('-');
  if (before || rest.starts_with('+')) rest.remove_prefix(1);
  const std::size_t dash = rest.find('-');
  if (dash == std::string_view::npos || rest.size() < dash + 15) return refuse();
  const auto number = [&](std::size_t at, std::size_t digits) { return ParseInt64(rest.substr(at, digits)).value_or(-1); };
  const std::int64_t year = number(0, dash) * (before ? -1 : 1);
  const std::int64_t month = number(dash + 1, 2);
  const std::int64_t day = number(dash + 4, 2);
  const std::int64_t hour = number(dash + 7, 2);
  const std::int64_t minute = number(dash + 10, 2);
  if (month < 1 || day < 1 || hour < 0 || minute < 0) return refuse();
  std::int64_t ms = 0;
  std::string_view seconds = rest.substr(dash + 13);
  const Result<std::int64_t> whole = ParseInt64(seconds.substr(0, 2));
  if (!whole) return refuse();
  seconds.remove_prefix(2);
  if (seconds.ends_with('Z')) seconds.remove_suffix(1);
  if (seconds.starts_with('.')) {
    std::string digits(seconds.substr(1, 3));
    digits.resize(3, '0');
    ms = ParseInt64(digits).value_or(0);
  }
  const std::chrono::year_month_day date{std::chrono::year(static_cast<int>(year)), std::chrono::month(static_cast<unsigned>(month)),
                                         std::chrono::day(static_cast<unsigned>(day))};
  if (!date.ok()) return refuse();
  const std::int64_t days = std::chrono::sys_days(date).time_since_epoch().count();
  return EventTime((((days * 24 + hour) * 60 + minute) * 60 + *whole) * 1000 + ms);
}

ResultMessages::ResultMessages(const flow::Plan& plan, const flow::PipelinePlan& pipeline)
    : pipeline_(pipeline), order_(OrderOf(plan, pipeline)) {}

Status ResultMessages::TakeRows(std::string_view message, ResultHeader& header) {
  const json value = json::parse(message, nullptr, false);
  const auto text = [&](const char* name) {
    return value.is_object() && value.contains(name) && value[name].is_string() ? value[name].get<std::string>() : std::string();
  };
  const Result<EventTime> start = ParseFlinkTime(text("window_start"));
  const Result<EventTime> end = ParseFlinkTime(text("window_end"));
  if (!start || !end) return Damaged(pipeline_.name, "has no window", message);
  if (!value.contains("result_rows") || !value["result_rows"].is_array() || value["result_rows"].empty())
    return Damaged(pipeline_.name, "has no rows", message);
  header.window_start = *start;
  header.window_end = *end;
  if (!value.contains("run") || !value["run"].is_number_unsigned()) return Damaged(pipeline_.name, "says nothing of its run", message);
  header.revision = value["run"].get<std::uint32_t>();
  header.state = header.revision == 0 ? ResultState::kFinal : ResultState::kCorrected;
  header.generation = pipeline_.fingerprint;
  const json& rows = value["result_rows"];
  const Schema& schema = pipeline_.shape.schema;
  rows_ = ColumnBatch();
  rows_.rows = rows.size();
  for (const Field& field : schema.fields) {
    Column& column = rows_.columns.emplace_back();
    column.type = field.type;
    if (field.type == FieldType::kDouble) {
      column.doubles.resize(rows.size());
    } else if (field.type == FieldType::kString) {
      column.strings.resize(rows.size());
    } else {
      column.int64s.resize(rows.size());
    }
  }
  for (std::size_t row = 0; row < rows.size(); ++row) {
    for (std::size_t c = 0; c < schema.fields.size(); ++c) {
      const auto at = rows[row].find(schema.fields[c].name);
      if (!rows[row].is_object() || at == rows[row].end())
        return Damaged(pipeline_.name, "lacks the column " + schema.fields[c].name, message);
      if (at->is_null()) {
        PutNull(rows_.columns[c], row, rows.size());
      } else if (!PutValue(*at, schema.fields[c].type, row, rows_, rows_.columns[c])) {
        return Damaged(pipeline_.name, "has another type in " + schema.fields[c].name, message);
      }
    }
  }
  return {};
}

void ResultMessages::PutInOrder() {
  std::vector<std::uint32_t> order(rows_.rows);
  std::iota(order.begin(), order.end(), 0U);
  std::ranges::stable_sort(order, [&](std::uint32_t a, std::uint32_t b) {
    for (const int column : order_) {
      if (const int compared = Compare(rows_.columns[static_cast<std::size_t>(column)], a, b); compared != 0) return compared < 0;
    }
    return false;
  });
  rows_.Take(order);
}

Result<std::size_t> ResultMessages::Encode(std::string_view message, std::string& out) {
  ResultHeader header;
  SL_TRY(TakeRows(message, header));
  PutInOrder();
  newest_ = std::max(newest_, header.window_end);
  EncodeResult(header, pipeline_.shape.schema, rows_, 0, rows_.rows, out);
  return rows_.rows;
}

Result<LateMessage> ParseLateMessage(std::string_view message) {
  const json value = json::parse(message, nullptr, false);
  LateMessage late;
  const bool named = value.is_object() && value.contains("reason") && value["reason"].is_string();
  const auto reason = std::ranges::find(kVerdictNames, named ? value["reason"].get<std::string>() : std::string());
  if (reason == kVerdictNames.end() || !value.contains("kafka_partition") || !value["kafka_partition"].is_number_integer() ||
      !value.contains("kafka_offset") || !value["kafka_offset"].is_number_integer()) {
    return Damaged("dead letters", "says nothing of a record", message);
  }
  late.partition = Partition(value["kafka_partition"].get<std::int32_t>());
  late.offset = Offset(value["kafka_offset"].get<std::int64_t>());
  late.reason = static_cast<Verdict>(reason - kVerdictNames.begin());
  return late;
}

}  // namespace sightline::flink
