#include "sightline/flow/expression.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>

#include "sightline/base/text.h"
#include "sightline/flow/expression_internal.h"

namespace sightline::flow {
namespace {

using Node = Expression::Node;
using Op = ExpressionOp;

void Size(Column& column, FieldType type, std::size_t rows) {
  column = Column{.type = type, .int64s = {}, .doubles = {}, .strings = {}, .nulls = {}};
  if (type == FieldType::kDouble) {
    column.doubles.resize(rows);
  } else if (type == FieldType::kString) {
    column.strings.resize(rows);
  } else {
    column.int64s.resize(rows);
  }
}

void SetNull(Column& column, std::size_t row, std::size_t rows) {
  if (column.nulls.empty()) column.nulls.assign(rows, 0);
  column.nulls[row] = 1;
}

std::string_view Keep(ColumnBatch& batch, std::string_view text) {
  char* at = batch.Allocate(text.size());
  if (!text.empty()) std::memcpy(at, text.data(), text.size());
  return {at, text.size()};
}

// Byte position of code point `index` (from 0); the end when there are fewer.
std::size_t BytePosition(std::string_view text, std::int64_t index) {
  std::size_t at = 0;
  for (; at < text.size() && index > 0; --index) {
    ++at;
    while (at < text.size() && (static_cast<unsigned char>(text[at]) & 0xc0) == 0x80) ++at;
  }
  return at;
}

bool LikeMatches(std::string_view text, std::string_view pattern) {
  std::size_t t = 0;
  std::size_t p = 0;
  std::size_t star = std::string_view::npos;
  std::size_t star_text = 0;
  const auto next = [&](std::size_t at) { return at + BytePosition(text.substr(at), 1); };
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '%') {
      star = p++;
      star_text = t;
    } else if (p < pattern.size() && pattern[p] == '_') {
      t = next(t);
      ++p;
    } else if (p < pattern.size() && pattern[p] == text[t]) {
      ++t;
      ++p;
    } else if (star != std::string_view::npos) {
      star_text = next(star_text);
      t = star_text;
      p = star + 1;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '%') ++p;
  return p == pattern.size();
}

template <typename T>
bool Holds(Op op, const T& a, const T& b) {
  switch (op) {
    case Op::kEqual: return a == b;
    case Op::kNotEqual: return a != b;
    case Op::kLess: return a < b;
    case Op::kLessEqual: return a <= b;
    case Op::kGreater: return a > b;
    default: return a >= b;
  }
}

void EvaluateComparison(const Node& node, const Column& a, const Column& b, std::size_t rows, Column& into) {
  for (std::size_t row = 0; row < rows; ++row) {
    if (a.IsNull(row) || b.IsNull(row)) {
      SetNull(into, row, rows);
      continue;
    }
    switch (a.type) {
      case FieldType::kInt64:
      case FieldType::kBool: into.int64s[row] = Holds(node.op, a.int64s[row], b.int64s[row]); break;
      case FieldType::kDouble: into.int64s[row] = Holds(node.op, a.doubles[row], b.doubles[row]); break;
      case FieldType::kString: into.int64s[row] = Holds(node.op, a.strings[row], b.strings[row]); break;
    }
  }
}

// False where the result has no value: overflow, or division by zero.
bool Int64Arithmetic(Op op, std::int64_t a, std::int64_t b, std::int64_t& out) {
  constexpr std::int64_t kMin = std::numeric_limits<std::int64_t>::min();
  switch (op) {
    case Op::kAdd: return !__builtin_add_overflow(a, b, &out);
    case Op::kSubtract: return !__builtin_sub_overflow(a, b, &out);
    case Op::kMultiply: return !__builtin_mul_overflow(a, b, &out);
    case Op::kDivide:
      if (b == 0 || (a == kMin && b == -1)) return false;
      out = a / b;
      return true;
    default:
      if (b == 0) return false;
      out = b == -1 ? 0 : a % b;
      return true;
  }
}

bool DoubleArithmetic(Op op, double a, double b, double& out) {
  switch (op) {
    case Op::kAdd: out = a + b; return true;
    case Op::kSubtract: out = a - b; return true;
    case Op::kMultiply: out = a * b; return true;
    case Op::kDivide: out = a / b; return b != 0;
    default: out = b != 0 ? std::fmod(a, b) : 0; return b != 0;
  }
}

void EvaluateArithmetic(const Node& node, const Column& a, const Column& b, ColumnBatch& batch, Column& into) {
  for (std::size_t row = 0; row < batch.rows; ++row) {
    bool good = !a.IsNull(row) && !b.IsNull(row);
    if (good && node.op == Op::kConcat) {
      std::string both(a.strings[row]);
      both += b.strings[row];
      into.strings[row] = Keep(batch, both);
    } else if (good && node.type == FieldType::kInt64) {
      good = Int64Arithmetic(node.op, a.int64s[row], b.int64s[row], into.int64s[row]);
    } else if (good) {
      good = DoubleArithmetic(node.op, a.doubles[row], b.doubles[row], into.doubles[row]);
    }
    if (!good) SetNull(into, row, batch.rows);
  }
}

// Three-valued: false AND null is false, true OR null is true.
void EvaluateLogical(const Node& node, const Column& a, const Column& b, std::size_t rows, Column& into) {
  const std::int64_t decides = node.op == Op::kOr ? 1 : 0;
  for (std::size_t row = 0; row < rows; ++row) {
    const bool a_decides = !a.IsNull(row) && a.int64s[row] == decides;
    const bool b_decides = !b.IsNull(row) && b.int64s[row] == decides;
    if (a_decides || b_decides) {
      into.int64s[row] = decides;
    } else if (a.IsNull(row) || b.IsNull(row)) {
      SetNull(into, row, rows);
    } else {
      into.int64s[row] = 1 - decides;
    }
  }
}

template <typename T>
void CopyValue(const Column& from, Column& into, std::size_t row, std::vector<T> Column::* values) {
  (into.*values)[row] = (from.*values)[row];
}

void CopyRow(const Column& from, Column& into, std::size_t row, std::size_t rows) {
  if (from.IsNull(row)) return SetNull(into, row, rows);
  switch (into.type) {
    case FieldType::kInt64:
    case FieldType::kBool: CopyValue(from, into, row, &Column::int64s); break;
    case FieldType::kDouble: CopyValue(from, into, row, &Column::doubles); break;
    case FieldType::kString: CopyValue(from, into, row, &Column::strings); break;
  }
}

void EvaluateCase(const Node& node, ColumnBatch& batch, Column& into) {
  std::vector<Column> children(node.children.size());
  for (std::size_t i = 0; i < children.size(); ++i) EvaluateNode(*node.children[i], batch, children[i]);
  for (std::size_t row = 0; row < batch.rows; ++row) {
    std::size_t chosen = children.size() - 1;
    for (std::size_t i = 0; i + 1 < children.size(); i += 2) {
      if (!children[i].IsNull(row) && children[i].int64s[row] != 0) {
        chosen = i + 1;
        break;
      }
    }
    CopyRow(children[chosen], into, row, batch.rows);
  }
}

void EvaluateCoalesce(const Node& node, ColumnBatch& batch, Column& into) {
  std::vector<Column> children(node.children.size());
  for (std::size_t i = 0; i < children.size(); ++i) EvaluateNode(*node.children[i], batch, children[i]);
  for (std::size_t row = 0; row < batch.rows; ++row) {
    std::size_t chosen = 0;
    while (chosen + 1 < children.size() && children[chosen].IsNull(row)) ++chosen;
    CopyRow(children[chosen], into, row, batch.rows);
  }
}

bool CastRow(const Column& from, Column& into, std::size_t row, ColumnBatch& batch) {
  if (into.type == from.type) return CopyRow(from, into, row, batch.rows), true;
  switch (into.type) {
    case FieldType::kInt64:
      if (from.type == FieldType::kBool) return into.int64s[row] = from.int64s[row], true;
      if (from.type == FieldType::kDouble) {
        const double value = std::trunc(from.doubles[row]);
        if (!(value >= -0x1p63 && value < 0x1p63)) return false;
        return into.int64s[row] = static_cast<std::int64_t>(value), true;
      } else {
        const Result<std::int64_t> value = ParseInt64(from.strings[row]);
        if (value) into.int64s[row] = *value;
        return value.has_value();
      }
    case FieldType::kDouble:
      if (from.type == FieldType::kString) {
        const std::string_view text = from.strings[row];
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), into.doubles[row]);
        return error == std::errc() && end == text.data() + text.size() && std::isfinite(into.doubles[row]);
      }
      return into.doubles[row] = static_cast<double>(from.int64s[row]), true;
    case FieldType::kBool:
      if (from.type == FieldType::kInt64) return into.int64s[row] = from.int64s[row] != 0 ? 1 : 0, true;
      if (from.strings[row] == "true") return into.int64s[row] = 1, true;
      if (from.strings[row] == "false") return into.int64s[row] = 0, true;
      return false;
    case FieldType::kString:
      into.strings[row] = from.type == FieldType::kBool ? std::string_view(from.int64s[row] != 0 ? "true" : "false")
                                                        : Keep(batch, std::to_string(from.int64s[row]));
      return true;
  }
  return false;
}

std::string_view ChangeCase(ColumnBatch& batch, std::string_view text, bool upper) {
  std::string changed(text);
  for (char& c : changed) {
    if (upper ? (c >= 'a' && c <= 'z') : (c >= 'A' && c <= 'Z')) c = static_cast<char>(c ^ 0x20);
  }
  return Keep(batch, changed);
}

// Code points from `from` (1 is the first), `length` of them.
std::string_view Substring(std::string_view text, std::int64_t from, std::optional<std::int64_t> length) {
  constexpr std::int64_t kFar = 1LL << 40;
  std::int64_t begin = std::clamp(from, -kFar, kFar) - 1;
  const std::int64_t end = length ? begin + std::clamp<std::int64_t>(*length, 0, kFar) : kFar;
  begin = std::max<std::int64_t>(begin, 0);
  if (end <= begin) return {};
  const std::size_t first = BytePosition(text, begin);
  return text.substr(first, BytePosition(text.substr(first), end - begin));
}

void EvaluateFunction(const Node& node, ColumnBatch& batch, Column& into) {
  std::vector<Column> in(node.children.size());
  for (std::size_t i = 0; i < in.size(); ++i) EvaluateNode(*node.children[i], batch, in[i]);
  const Column& a = in[0];
  for (std::size_t row = 0; row < batch.rows; ++row) {
    bool good = std::none_of(in.begin(), in.end(), [&](const Column& c) { return c.IsNull(row); });
    if (good) {
      switch (node.op) {
        case Op::kNegate:
          if (a.type == FieldType::kDouble) {
            into.doubles[row] = -a.doubles[row];
          } else {
            good = Int64Arithmetic(Op::kSubtract, 0, a.int64s[row], into.int64s[row]);
          }
          break;
        case Op::kAbs:
          if (a.type == FieldType::kDouble) {
            into.doubles[row] = std::fabs(a.doubles[row]);
          } else if (a.int64s[row] < 0) {
            good = Int64Arithmetic(Op::kSubtract, 0, a.int64s[row], into.int64s[row]);
          } else {
            into.int64s[row] = a.int64s[row];
          }
          break;
        case Op::kFloor:
        case Op::kCeil:
          if (a.type == FieldType::kDouble) {
            into.doubles[row] = node.op == Op::kFloor ? std::floor(a.doubles[row]) : std::ceil(a.doubles[row]);
          } else {
            into.int64s[row] = a.int64s[row];
          }
          break;
        case Op::kLower:
        case Op::kUpper: into.strings[row] = ChangeCase(batch, a.strings[row], node.op == Op::kUpper); break;
        case Op::kLength: into.int64s[row] = static_cast<std::int64_t>(CodePoints(a.strings[row])); break;
        case Op::kTrim: {
          const std::size_t begin = a.strings[row].find_first_not_of(' ');
          const std::size_t end = a.strings[row].find_last_not_of(' ');
          into.strings[row] = begin == std::string_view::npos ? std::string_view() : a.strings[row].substr(begin, end - begin + 1);
          break;
        }
        case Op::kSubstring:
          into.strings[row] = Substring(a.strings[row], in[1].int64s[row], in.size() > 2 ? std::optional(in[2].int64s[row]) : std::nullopt);
          break;
        case Op::kStartsWith: into.int64s[row] = a.strings[row].starts_with(in[1].strings[row]) ? 1 : 0; break;
        case Op::kLike: into.int64s[row] = LikeMatches(a.strings[row], node.text) ? 1 : 0; break;
        case Op::kNot: into.int64s[row] = a.int64s[row] == 0 ? 1 : 0; break;
        default: good = CastRow(a, into, row, batch); break;
      }
    }
    if (!good) SetNull(into, row, batch.rows);
  }
}

void EvaluateLiteral(const Node& node, std::size_t rows, Column& into) {
  switch (node.op) {
    case Op::kInt64:
    case Op::kBool: into.int64s.assign(rows, node.int64); break;
    case Op::kDouble: into.doubles.assign(rows, node.number); break;
    case Op::kString: into.strings.assign(rows, node.text); break;
    default: into.nulls.assign(rows, 1); break;
  }
}

}  // namespace

void EvaluateNode(const Expression::Node& node, ColumnBatch& batch, Column& into) {
  if (node.op == Op::kColumn) {
    into = batch.columns[static_cast<std::size_t>(node.column)];
    return;
  }
  Size(into, node.type, batch.rows);
  switch (node.op) {
    case Op::kInt64:
    case Op::kDouble:
    case Op::kString:
    case Op::kBool:
    case Op::kNull: return EvaluateLiteral(node, batch.rows, into);
    case Op::kCase: return EvaluateCase(node, batch, into);
    case Op::kCoalesce: return EvaluateCoalesce(node, batch, into);
    case Op::kIsNull:
    case Op::kIsNotNull: {
      Column operand;
      EvaluateNode(*node.children[0], batch, operand);
      for (std::size_t row = 0; row < batch.rows; ++row) into.int64s[row] = operand.IsNull(row) == (node.op == Op::kIsNull) ? 1 : 0;
      return;
    }
    case Op::kEqual:
    case Op::kNotEqual:
    case Op::kLess:
    case Op::kLessEqual:
    case Op::kGreater:
    case Op::kGreaterEqual:
    case Op::kAnd:
    case Op::kOr:
    case Op::kAdd:
    case Op::kSubtract:
    case Op::kMultiply:
    case Op::kDivide:
    case Op::kModulo:
    case Op::kConcat: {
      Column a;
      Column b;
      EvaluateNode(*node.children[0], batch, a);
      EvaluateNode(*node.children[1], batch, b);
      if (node.op == Op::kAnd || node.op == Op::kOr) return EvaluateLogical(node, a, b, batch.rows, into);
      if (node.op >= Op::kEqual && node.op <= Op::kGreaterEqual) return EvaluateComparison(node, a, b, batch.rows, into);
      return EvaluateArithmetic(node, a, b, batch, into);
    }
    default: return EvaluateFunction(node, batch, into);
  }
}

std::string CanonicalText(const Expression::Node& node, const Schema& schema) {
  static constexpr std::string_view kNames[] = {
      "column", "int",  "double", "text",  "bool", "null",  "neg",   "+",      "-",         "*",      "/",        "%",          "||",
      "=",      "<>",   "<",      "<=",    ">",    ">=",    "and",   "or",     "not",       "isnull", "notnull",  "in",         "like",
      "case",   "cast", "abs",    "floor", "ceil", "lower", "upper", "length", "substring", "trim",   "coalesce", "starts_with"};
  std::string out = "(" + std::string(kNames[static_cast<std::size_t>(node.op)]);
  switch (node.op) {
    case Op::kColumn: return schema.fields[static_cast<std::size_t>(node.column)].name;
    case Op::kInt64: return std::to_string(node.int64);
    case Op::kBool: return node.int64 != 0 ? "true" : "false";
    case Op::kDouble: {
      char text[32];
      const auto [end, error] = std::to_chars(text, text + sizeof text, node.number);
      return std::string(text, end) + "d";
    }
    case Op::kString: AppendJsonString(out = "", node.text); return out;
    case Op::kLike:
      out += " ";
      AppendJsonString(out, node.text);
      break;
    case Op::kCast: out += " " + std::string(FieldTypeName(node.type)); break;
    default: break;
  }
  for (const ExpressionNode& child : node.children) out += " " + CanonicalText(*child, schema);
  return out + ")";
}

}  // namespace sightline::flow
