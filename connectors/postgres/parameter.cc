#include <libpq-fe.h>

#include "connectors/postgres/binary.h"
#include "connectors/postgres/connection.h"
#include "sightline/tabular/append.h"

namespace sightline::postgres {
namespace {

// An array of one dimension without nulls; `put` appends each element.
template <typename Values, typename Put>
Parameter Array(std::uint32_t type, std::uint32_t element, const Values& values, Put put) {
  std::string bytes;
  PutBe(bytes, std::int32_t{values.empty() ? 0 : 1});  // dimensions
  PutBe(bytes, std::int32_t{0});                       // without nulls
  PutBe(bytes, element);
  if (!values.empty()) {
    PutBe(bytes, static_cast<std::int32_t>(values.size()));
    PutBe(bytes, std::int32_t{1});  // the first index
  }
  for (const auto& value : values) put(bytes, value);
  return {type, std::move(bytes)};
}

}  // namespace

Parameter Parameter::Int64(std::int64_t value) {
  Parameter parameter{kInt8Oid, std::string()};
  PutBe(*parameter.bytes, value);
  return parameter;
}

Parameter Parameter::Text(std::string value) { return {kTextOid, std::move(value)}; }

Parameter Parameter::Of(const stores::Value& value) {
  if (const auto* number = std::get_if<std::int64_t>(&value)) return Int64(*number);
  if (const auto* text = std::get_if<std::string>(&value)) return Text(*text);
  if (const auto* flag = std::get_if<bool>(&value)) return {kBoolOid, std::string(1, *flag ? '\1' : '\0')};
  if (const auto* real = std::get_if<double>(&value)) {
    Parameter parameter{kFloat8Oid, std::string()};
    PutBe(*parameter.bytes, std::bit_cast<std::int64_t>(*real));
    return parameter;
  }
  return {kTextOid, std::nullopt};
}

Parameter Parameter::Int64s(std::span<const std::int64_t> values) {
  return Array(kInt8ArrayOid, kInt8Oid, values, [](std::string& out, std::int64_t value) { PutSized(out, value); });
}
Parameter Parameter::Doubles(std::span<const double> values) {
  return Array(kFloat8ArrayOid, kFloat8Oid, values, [](std::string& out, double value) { PutSized(out, value); });
}
Parameter Parameter::Bools(std::span<const std::int64_t> values) {
  return Array(kBoolArrayOid, kBoolOid, values,
               [](std::string& out, std::int64_t value) { PutSized(out, static_cast<std::uint8_t>(value != 0)); });
}
Parameter Parameter::Texts(std::span<const std::string_view> values) {
  return Array(kTextArrayOid, kTextOid, values, [](std::string& out, std::string_view value) { PutSized(out, value); });
}

std::vector<Parameter> ParametersOf(std::span<const stores::Value> values) {
  std::vector<Parameter> parameters;
  parameters.reserve(values.size());
  for (const stores::Value& value : values) parameters.push_back(Parameter::Of(value));
  return parameters;
}

void Answer::AppendTo(std::size_t count, ColumnBatch& into) const {
  const std::size_t base = into.rows;
  tabular::Grow(into, base + count);
  for (std::size_t c = 0; c < into.columns.size(); ++c) {
    Column& column = into.columns[c];
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t row = base + i;
      if (IsNull(i, c)) {
        tabular::SetNull(column, row);
        continue;
      }
      if (!column.nulls.empty()) column.nulls[row] = 0;
      switch (column.type) {
        case FieldType::kInt64: column.int64s[row] = Int64(i, c); break;
        case FieldType::kBool: column.int64s[row] = Bool(i, c) ? 1 : 0; break;
        case FieldType::kDouble: column.doubles[row] = Double(i, c); break;
        case FieldType::kString: column.strings[row] = tabular::Keep(into, Bytes(i, c)); break;
      }
    }
  }
  into.rows = base + count;
}

}  // namespace sightline::postgres
