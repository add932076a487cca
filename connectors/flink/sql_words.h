#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "sightline/model/schema.h"

namespace sightline::flink {

// A name as it stands in Flink SQL: in backticks where it is a reserved word or holds anything but letters, digits and underscores.
std::string Name(std::string_view name);
// 'It''s'
std::string Text(std::string_view text);
// BIGINT, DOUBLE, BOOLEAN, STRING
std::string_view TypeWord(FieldType type);
// INTERVAL '90' SECOND, with as many digits as it needs.
std::string Interval(std::chrono::milliseconds duration);
std::string Int64Literal(std::int64_t value);
// With an exponent: without one it would be a decimal.
std::string DoubleLiteral(double value);

}  // namespace sightline::flink
