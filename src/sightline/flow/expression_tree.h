#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "sightline/flow/expression.h"

namespace sightline::flow {

enum class ExpressionOp : std::uint8_t {
  kColumn,
  kInt64,
  kDouble,
  kString,
  kBool,
  kNull,
  kNegate,
  kAdd,
  kSubtract,
  kMultiply,
  kDivide,
  kModulo,
  kConcat,
  kEqual,
  kNotEqual,
  kLess,
  kLessEqual,
  kGreater,
  kGreaterEqual,
  kAnd,
  kOr,
  kNot,
  kIsNull,
  kIsNotNull,
  kIn,
  kLike,
  kCase,
  kCast,
  kAbs,
  kFloor,
  kCeil,
  kLower,
  kUpper,
  kLength,
  kSubstring,
  kTrim,
  kCoalesce,
  kStartsWith,
};

// A node of a checked expression tree: types are settled, operands of arithmetic and comparison have one type.
struct Expression::Node {
  ExpressionOp op = ExpressionOp::kNull;
  FieldType type = FieldType::kInt64;
  bool nullable = false;
  int column = -1;
  std::int64_t int64 = 0;     // kInt64, kBool
  double number = 0;          // kDouble
  std::string text;           // kString
  std::vector<std::shared_ptr<const Node>> children;  // kCase: when, then, when, then, …, else
};

using ExpressionNode = std::shared_ptr<const Expression::Node>;

}  // namespace sightline::flow
