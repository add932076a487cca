#pragma once

#include <string>

#include "sightline/base/result.h"
#include "sightline/flow/expression.h"
#include "sightline/model/schema.h"

namespace sightline::flink {

// The expression over `schema`'s columns in Flink SQL, with the meaning that docs/expressions.md gives it: what overflows or divides by
// zero is NULL, texts change case from A to Z alone, casts are strict. kFailedPrecondition for what has no such form there, with what to
// write instead.
Result<std::string> ExpressionSql(const flow::Expression& expression, const Schema& schema);

// The same, as a column of exactly the expression's type: literals and choices between them would have a narrower one.
Result<std::string> ColumnSql(const flow::Expression& expression, const Schema& schema);

}  // namespace sightline::flink
