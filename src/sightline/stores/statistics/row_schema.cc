#include <charconv>

#include "sightline/base/text.h"
#include "sightline/stores/statistics/port.h"
#include "sightline/tabular/result_rows.h"

namespace sightline::stores {
namespace {

Result<Value> ParseValue(const Field& field, const std::string& text) {
  if (text.empty() && field.nullable && field.type != FieldType::kString) return Value();
  const auto bad = [&](std::string_view expected) {
    return Fail(ErrorKind::kInvalidArgument, field.name + "=" + text + ": expected " + std::string(expected));
  };
  switch (field.type) {
    case FieldType::kInt64: {
      auto value = ParseInt64(text);
      if (!value) return bad("a whole number between -9223372036854775808 and 9223372036854775807");
      return Value(*value);
    }
    case FieldType::kDouble: {
      double value = 0;
      const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
      if (parsed.ec != std::errc() || parsed.ptr != text.data() + text.size()) return bad("a number");
      return Value(value);
    }
    case FieldType::kBool:
      if (text == "true") return Value(true);
      if (text == "false") return Value(false);
      return bad("true or false");
    case FieldType::kString:
      if (!IsUtf8(text)) return bad("text in UTF-8");
      return Value(text);
  }
  return bad("a value");
}

}  // namespace

Schema RowSchema(const ResultShape& shape) { return tabular::ResultRowSchema(shape, tabular::ResultColumns::kWindowAndState); }

Result<ColumnFilter> ParseFilter(const Schema& rows, const std::string& column, std::span<const std::string> texts) {
  const int index = rows.Find(column);
  if (index < 0) {
    std::vector<std::string_view> names;
    for (const Field& field : rows.fields) names.push_back(field.name);
    const std::string_view near = DidYouMean(column, names);
    return Fail(ErrorKind::kInvalidArgument,
                "there is no column " + column + (near.empty() ? std::string() : "; did you mean " + std::string(near) + "?"));
  }
  ColumnFilter filter{.column = column, .any_of = {}};
  for (const std::string& text : texts) {
    SL_ASSIGN_OR_RETURN(Value value, ParseValue(rows.fields[static_cast<std::size_t>(index)], text));
    filter.any_of.push_back(std::move(value));
  }
  return filter;
}

}  // namespace sightline::stores
