#include "connectors/flink/expression_sql.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "connectors/flink/sql_words.h"
#include "sightline/flow/expression_tree.h"

namespace sightline::flink {
namespace {

using Node = flow::Expression::Node;
using Op = flow::ExpressionOp;

// How strongly a text holds together: what stands inside another must bind at least as its place asks for.
enum class Binding : int { kOr = 1, kAnd, kNot, kCompare, kAdd, kMultiply, kUnary, kWhole };

struct Sql {
  std::string text;
  Binding binding = Binding::kWhole;
};

constexpr std::string_view kIntegerText = R"('^-?[0-9]+\z')";
constexpr std::string_view kNumberText = R"('^-?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]+)?\z')";
constexpr std::string_view kDoubleMax = "1.7976931348623157E308";

// Letter by letter: LOWER and UPPER would change letters of other alphabets, too, and there is no TRANSLATE. `from` is the first letter.
std::string ChangeCase(std::string text, char from) {
  for (int letter = 0; letter < 26; ++letter) {
    const char before = static_cast<char>(from + letter);
    text = "REPLACE(" + text + ", '" + before + "', '" + static_cast<char>(before ^ 0x20) + "')";
  }
  return text;
}

std::unexpected<Error> Refuse(const std::string& what, const std::string& instead) {
  return Fail(ErrorKind::kFailedPrecondition, what + "; write instead: " + instead);
}

class Writer {
 public:
  explicit Writer(const Schema& schema) : schema_(schema) {}

  // NOLINTNEXTLINE(misc-no-recursion): expressions are at most a hundred deep.
  Result<Sql> Write(const Node& node) const {
    switch (node.op) {
      case Op::kColumn: return Sql{Name(schema_.fields[static_cast<std::size_t>(node.column)].name)};
      case Op::kInt64: return Sql{Int64Literal(node.int64), node.int64 < 0 ? Binding::kUnary : Binding::kWhole};
      case Op::kDouble: return Sql{DoubleLiteral(node.number), node.number < 0 ? Binding::kUnary : Binding::kWhole};
      case Op::kString: return Sql{Text(node.text)};
      case Op::kBool: return Sql{node.int64 != 0 ? "TRUE" : "FALSE"};
      case Op::kNull: return Sql{"CAST(NULL AS " + std::string(TypeWord(node.type)) + ")"};
      case Op::kNegate:
        if (node.type == FieldType::kInt64) return Checked("-", Sql{"0"}, *node.children[0]);
        return Prefix("-", node, Binding::kUnary);
      case Op::kAdd: return Arithmetic(node, "+", Binding::kAdd);
      case Op::kSubtract: return Arithmetic(node, "-", Binding::kAdd);
      case Op::kMultiply: return Arithmetic(node, "*", Binding::kMultiply);
      case Op::kDivide: return Divide(node);
      case Op::kModulo: return Modulo(node);
      case Op::kConcat: return Infix(node, "||", Binding::kAdd);
      case Op::kEqual: return Compare(node, "=");
      case Op::kNotEqual: return Compare(node, "<>");
      case Op::kLess: return Compare(node, "<");
      case Op::kLessEqual: return Compare(node, "<=");
      case Op::kGreater: return Compare(node, ">");
      case Op::kGreaterEqual: return Compare(node, ">=");
      case Op::kAnd: return Infix(node, "AND", Binding::kAnd);
      case Op::kOr: return Infix(node, "OR", Binding::kOr);
      case Op::kNot: return Prefix("NOT ", node, Binding::kNot);
      case Op::kIsNull: return Suffix(node, " IS NULL");
      case Op::kIsNotNull: return Suffix(node, " IS NOT NULL");
      case Op::kLike: return Like(node);
      case Op::kCase: return Case(node);
      case Op::kCast: return Cast(node);
      default: return Function(node);
    }
  }

 private:
  Result<std::string> Inner(const Node& node, Binding at_least) const {
    SL_ASSIGN_OR_RETURN(Sql sql, Write(node));
    return sql.binding >= at_least ? std::move(sql.text) : "(" + sql.text + ")";
  }
  Result<std::string> Argument(const Node& node) const { return Inner(node, Binding::kOr); }

  Result<Sql> Infix(const Node& node, const std::string& word, Binding binding) const {
    SL_ASSIGN_OR_RETURN(const std::string a, Inner(*node.children[0], binding));
    SL_ASSIGN_OR_RETURN(const std::string b, Inner(*node.children[1], static_cast<Binding>(static_cast<int>(binding) + 1)));
    return Sql{a + " " + word + " " + b, binding};
  }
  Result<Sql> Prefix(const std::string& word, const Node& node, Binding binding) const {
    SL_ASSIGN_OR_RETURN(const std::string a, Inner(*node.children[0], static_cast<Binding>(static_cast<int>(binding) + 1)));
    return Sql{word + a, binding};
  }
  Result<Sql> Suffix(const Node& node, const std::string& words) const {
    SL_ASSIGN_OR_RETURN(const std::string a, Inner(*node.children[0], Binding::kAdd));
    return Sql{a + words, Binding::kCompare};
  }
  // Truth has no order in Flink; numbers have.
  Result<Sql> Compare(const Node& node, const std::string& word) const {
    const bool order = word != "=" && word != "<>";
    if (!order || node.children[0]->type != FieldType::kBool) {
      SL_ASSIGN_OR_RETURN(const std::string a, Inner(*node.children[0], Binding::kAdd));
      SL_ASSIGN_OR_RETURN(const std::string b, Inner(*node.children[1], Binding::kAdd));
      return Sql{a + " " + word + " " + b, Binding::kCompare};
    }
    SL_ASSIGN_OR_RETURN(const std::string a, Argument(*node.children[0]));
    SL_ASSIGN_OR_RETURN(const std::string b, Argument(*node.children[1]));
    return Sql{"CAST(" + a + " AS INT) " + word + " CAST(" + b + " AS INT)", Binding::kCompare};
  }

  Result<Sql> Arithmetic(const Node& node, const std::string& word, Binding binding) const {
    if (node.type == FieldType::kDouble) return Infix(node, word, binding);
    SL_ASSIGN_OR_RETURN(Sql left, Write(*node.children[0]));
    return Checked(word, std::move(left), *node.children[1]);
  }
  // BIGINT wraps around in Flink without a word. In decimals nothing is lost, and a text of too many digits is no BIGINT.
  Result<Sql> Checked(const std::string& word, Sql left, const Node& right) const {
    SL_ASSIGN_OR_RETURN(const std::string b, Argument(right));
    return Sql{"TRY_CAST(CAST(CAST(" + left.text + " AS DECIMAL(19, 0)) " + word + " CAST(" + b +
               " AS DECIMAL(19, 0)) AS STRING) AS BIGINT)"};
  }
  Result<Sql> Divide(const Node& node) const {
    const Node& by = *node.children[1];
    SL_ASSIGN_OR_RETURN(const std::string a, Inner(*node.children[0], Binding::kMultiply));
    SL_ASSIGN_OR_RETURN(const std::string b, Inner(by, Binding::kWhole));
    if (node.type == FieldType::kDouble) return Sql{a + " / NULLIF(" + b + ", 0E0)", Binding::kMultiply};
    const bool literal = by.op == Op::kInt64;
    if (literal && by.int64 != 0 && by.int64 != -1) return Sql{a + " / " + b, Binding::kMultiply};
    const std::string divided = a + " / NULLIF(" + b + ", 0)";
    if (literal && by.int64 == 0) return Sql{divided, Binding::kMultiply};
    SL_ASSIGN_OR_RETURN(const Sql negated, Checked("-", Sql{"0"}, *node.children[0]));
    return Sql{"CASE WHEN " + b + " = -1 THEN " + negated.text + " ELSE " + divided + " END"};
  }
  Result<Sql> Modulo(const Node& node) const {
    if (node.type == FieldType::kDouble) {
      return Refuse("% of doubles has no form in Flink SQL that gives the same digits", "CAST both sides AS int64 before % or MOD");
    }
    SL_ASSIGN_OR_RETURN(const std::string a, Argument(*node.children[0]));
    SL_ASSIGN_OR_RETURN(const std::string b, Argument(*node.children[1]));
    const Node& by = *node.children[1];
    return Sql{"MOD(" + a + ", " + (by.op == Op::kInt64 && by.int64 != 0 ? b : "NULLIF(" + b + ", 0)") + ")"};
  }

  Result<Sql> Like(const Node& node) const {
    SL_ASSIGN_OR_RETURN(const std::string a, Inner(*node.children[0], Binding::kAdd));
    std::string out = a + " LIKE " + Text(node.text);
    // Nothing escapes in our patterns: name a character that does not stand in this one.
    if (node.text.find('\\') != std::string::npos) {
      const std::string_view free = "~^!#@$&|";
      const std::size_t at = free.find_first_not_of(node.text);
      if (at == std::string_view::npos)
        return Refuse("LIKE " + Text(node.text) + " leaves no character to escape with", "a shorter pattern");
      out += " ESCAPE '" + std::string(1, free[at]) + "'";
    }
    return Sql{std::move(out), Binding::kCompare};
  }

  Result<Sql> Case(const Node& node) const {
    std::string out = "CASE";
    std::size_t i = 0;
    for (; i + 1 < node.children.size(); i += 2) {
      SL_ASSIGN_OR_RETURN(const std::string when, Argument(*node.children[i]));
      SL_ASSIGN_OR_RETURN(const std::string then, Argument(*node.children[i + 1]));
      out += " WHEN " + when + " THEN " + then;
    }
    if (node.children[i]->op != Op::kNull) {
      SL_ASSIGN_OR_RETURN(const std::string otherwise, Argument(*node.children[i]));
      out += " ELSE " + otherwise;
    }
    return Sql{out + " END"};
  }

  Result<Sql> Cast(const Node& node) const {
    const Node& from = *node.children[0];
    SL_ASSIGN_OR_RETURN(const std::string a, Argument(from));
    SL_ASSIGN_OR_RETURN(const std::string whole, Inner(from, Binding::kAdd));
    if (from.type == node.type) return Write(from);
    switch (node.type) {
      case FieldType::kInt64:
        if (from.type == FieldType::kString) {
          return Sql{"CASE WHEN REGEXP(" + a + ", " + std::string(kIntegerText) + ") THEN TRY_CAST(" + a + " AS BIGINT) END"};
        }
        if (from.type == FieldType::kDouble) {
          return Sql{"CASE WHEN " + whole + " >= -9.223372036854775808E18 AND " + whole + " < 9.223372036854775808E18 THEN CAST(" + a +
                     " AS BIGINT) END"};
        }
        return Sql{"CAST(" + a + " AS BIGINT)"};
      case FieldType::kDouble:
        if (from.type == FieldType::kString) {
          return Sql{"CASE WHEN REGEXP(" + a + ", " + std::string(kNumberText) + ") AND ABS(TRY_CAST(" + a +
                     " AS DOUBLE)) <= " + std::string(kDoubleMax) + " THEN TRY_CAST(" + a + " AS DOUBLE) END"};
        }
        if (from.type == FieldType::kBool) return Sql{"CAST(CAST(" + a + " AS INT) AS DOUBLE)"};
        return Sql{"CAST(" + a + " AS DOUBLE)"};
      case FieldType::kBool:
        if (from.type == FieldType::kInt64) return Sql{whole + " <> 0", Binding::kCompare};
        return Sql{"CASE " + whole + " WHEN 'true' THEN TRUE WHEN 'false' THEN FALSE END"};
      case FieldType::kString:
        if (from.type == FieldType::kBool) return Sql{"CASE WHEN " + a + " THEN 'true' WHEN NOT (" + a + ") THEN 'false' END"};
        return Sql{"CAST(" + a + " AS STRING)"};
    }
    return Fail(ErrorKind::kInternal, "a cast to a type that is not known");
  }

  Result<Sql> Substring(const Node& node) const {
    constexpr std::int64_t kFar = std::numeric_limits<std::int32_t>::max();
    const bool literal =
        std::all_of(node.children.begin() + 1, node.children.end(), [](const auto& child) { return child->op == Op::kInt64; });
    if (!literal)
      return Refuse("SUBSTRING with a place or length that is computed counts otherwise in Flink", "the place and length as numbers");
    SL_ASSIGN_OR_RETURN(const std::string a, Argument(*node.children[0]));
    const std::int64_t from = std::clamp(node.children[1]->int64, -kFar, kFar);
    // What would lie before the first character takes its share of the length.
    const std::int64_t begin = std::max<std::int64_t>(from, 1);
    if (node.children.size() == 2) return Sql{"SUBSTRING(" + a + ", " + std::to_string(begin) + ")"};
    const std::int64_t length = std::clamp<std::int64_t>(node.children[2]->int64, 0, kFar);
    return Sql{"SUBSTRING(" + a + ", " + std::to_string(begin) + ", " + std::to_string(std::max<std::int64_t>(from + length - begin, 0)) +
               ")"};
  }

  Result<Sql> Function(const Node& node) const {
    if (node.op == Op::kSubstring) return Substring(node);
    std::vector<std::string> arguments;
    for (const flow::ExpressionNode& child : node.children) {
      SL_ASSIGN_OR_RETURN(arguments.emplace_back(), Argument(*child));
    }
    const std::string& a = arguments[0];
    switch (node.op) {
      case Op::kAbs:
        if (node.type == FieldType::kDouble) return Sql{"ABS(" + a + ")"};
        return Sql{"CASE WHEN " + a + " <> " + Int64Literal(std::numeric_limits<std::int64_t>::min()) + " THEN ABS(" + a + ") END"};
      case Op::kFloor: return node.type == FieldType::kInt64 ? Write(*node.children[0]) : Result<Sql>(Sql{"FLOOR(" + a + ")"});
      case Op::kCeil: return node.type == FieldType::kInt64 ? Write(*node.children[0]) : Result<Sql>(Sql{"CEIL(" + a + ")"});
      case Op::kLower:
      case Op::kUpper: return Sql{ChangeCase(a, node.op == Op::kUpper ? 'a' : 'A')};
      case Op::kLength: return Sql{"CAST(CHAR_LENGTH(" + a + ") AS BIGINT)"};
      case Op::kTrim: return Sql{"TRIM(" + a + ")"};
      case Op::kStartsWith: return Sql{"STARTSWITH(" + a + ", " + arguments[1] + ")"};
      case Op::kCoalesce: {
        std::string all;
        for (const std::string& argument : arguments) all += (all.empty() ? "" : ", ") + argument;
        return Sql{"COALESCE(" + all + ")"};
      }
      default: return Fail(ErrorKind::kInternal, "an expression's step has no form in Flink SQL");
    }
  }

  const Schema& schema_;
};

}  // namespace

Result<std::string> ExpressionSql(const flow::Expression& expression, const Schema& schema) {
  SL_ASSIGN_OR_RETURN(Sql sql, Writer(schema).Write(expression.root()));
  return std::move(sql.text);
}

Result<std::string> ColumnSql(const flow::Expression& expression, const Schema& schema) {
  SL_ASSIGN_OR_RETURN(std::string text, ExpressionSql(expression, schema));
  switch (expression.root().op) {
    case Op::kInt64:
    case Op::kString:
    case Op::kCase:
    case Op::kCoalesce: return "CAST(" + text + " AS " + std::string(TypeWord(expression.type())) + ")";
    default: return text;
  }
}

}  // namespace sightline::flink
