#include <algorithm>
#include <cctype>
#include <charconv>
#include <optional>

#include "sightline/base/text.h"
#include "sightline/flow/expression_internal.h"

namespace sightline::flow {
namespace {

using Node = Expression::Node;
using Op = ExpressionOp;

enum class TokenKind : std::uint8_t { kEnd, kName, kQuotedName, kInteger, kDecimal, kText, kSymbol };

struct Token {
  TokenKind kind = TokenKind::kEnd;
  std::string text;
  std::string upper;  // of a name: keywords are not case-sensitive
  std::size_t at = 0;
};

constexpr std::size_t kDepthMax = 100;
constexpr std::size_t kTextMax = 10000;

std::unexpected<Error> FailAt(std::size_t at, const std::string& what) {
  return Fail(ErrorKind::kInvalidArgument, "at character " + std::to_string(at + 1) + ": " + what);
}

bool IsNameStart(char c) { return std::isalpha(static_cast<unsigned char>(c)) != 0 || c == '_'; }
bool IsNamePart(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }

class Lexer {
 public:
  explicit Lexer(std::string_view text) : text_(text) {}
  Result<std::vector<Token>> Run() {
    std::vector<Token> tokens;
    for (;;) {
      while (at_ < text_.size() && std::isspace(static_cast<unsigned char>(text_[at_])) != 0) ++at_;
      Token token;
      token.at = at_;
      if (at_ == text_.size()) {
        tokens.push_back(token);
        return tokens;
      }
      SL_TRY(Next(token));
      tokens.push_back(std::move(token));
    }
  }

 private:
  Status Next(Token& token) {
    const char c = text_[at_];
    if (IsNameStart(c)) {
      while (at_ < text_.size() && IsNamePart(text_[at_])) token.text += text_[at_++];
      token.kind = TokenKind::kName;
      token.upper = token.text;
      for (char& u : token.upper) u = static_cast<char>(std::toupper(static_cast<unsigned char>(u)));
      return {};
    }
    if (IsDigit(c) || (c == '.' && at_ + 1 < text_.size() && IsDigit(text_[at_ + 1]))) return Number(token);
    if (c == '\'' || c == '"') return Quoted(token, c);
    static constexpr std::string_view kSymbols[] = {"<>", "!=", "<=", ">=", "||", "=", "<", ">", "+", "-", "*", "/", "%", "(", ")", ","};
    for (std::string_view symbol : kSymbols) {
      if (text_.substr(at_).starts_with(symbol)) {
        token.kind = TokenKind::kSymbol;
        token.text = symbol == "!=" ? "<>" : std::string(symbol);
        at_ += symbol.size();
        return {};
      }
    }
    return FailAt(at_, std::string("`") + c + "` means nothing in an expression");
  }
  Status Number(Token& token) {
    token.kind = TokenKind::kInteger;
    while (at_ < text_.size() && (IsDigit(text_[at_]) || text_[at_] == '.' || text_[at_] == 'e' || text_[at_] == 'E' ||
                                  ((text_[at_] == '-' || text_[at_] == '+') && (text_[at_ - 1] == 'e' || text_[at_ - 1] == 'E')))) {
      if (!IsDigit(text_[at_])) token.kind = TokenKind::kDecimal;
      token.text += text_[at_++];
    }
    if (at_ < text_.size() && IsNamePart(text_[at_])) return FailAt(at_, "a number runs into a name");
    return {};
  }
  Status Quoted(Token& token, char quote) {
    token.kind = quote == '\'' ? TokenKind::kText : TokenKind::kQuotedName;
    for (++at_;; ++at_) {
      if (at_ >= text_.size()) return FailAt(token.at, "a quote is not closed");
      if (text_[at_] == quote) {
        if (at_ + 1 < text_.size() && text_[at_ + 1] == quote) {
          ++at_;  // a doubled quote stands for itself
        } else {
          ++at_;
          return {};
        }
      }
      token.text += text_[at_];
    }
  }
  std::string_view text_;
  std::size_t at_ = 0;
};

struct Function {
  std::string_view name;
  Op op;
  std::size_t arguments_min, arguments_max;
};
constexpr Function kFunctions[] = {
    {"ABS", Op::kAbs, 1, 1},
    {"FLOOR", Op::kFloor, 1, 1},
    {"CEIL", Op::kCeil, 1, 1},
    {"LOWER", Op::kLower, 1, 1},
    {"UPPER", Op::kUpper, 1, 1},
    {"CHAR_LENGTH", Op::kLength, 1, 1},
    {"TRIM", Op::kTrim, 1, 1},
    {"SUBSTRING", Op::kSubstring, 2, 3},
    {"COALESCE", Op::kCoalesce, 1, 20},
    {"MOD", Op::kModulo, 2, 2},
    {"STARTS_WITH", Op::kStartsWith, 2, 2},
};
constexpr std::string_view kKeywords[] = {"AND",   "OR",   "NOT",  "IS",   "NULL", "IN",  "LIKE", "BETWEEN", "TRUE",
                                          "FALSE", "CASE", "WHEN", "THEN", "ELSE", "END", "CAST", "AS"};

class Parser {
 public:
  Parser(std::vector<Token> tokens, const Schema& schema) : tokens_(std::move(tokens)), schema_(schema) {}

  Result<ExpressionNode> Run() {
    SL_ASSIGN_OR_RETURN(ExpressionNode root, Or());
    if (Peek().kind != TokenKind::kEnd) return FailAt(Peek().at, "`" + Peek().text + "` is not expected here");
    return root;
  }

 private:
  const Token& Peek() const { return tokens_[at_]; }
  bool IsWord(std::string_view word) const { return Peek().kind == TokenKind::kName && Peek().upper == word; }
  bool IsSymbol(std::string_view symbol) const { return Peek().kind == TokenKind::kSymbol && Peek().text == symbol; }
  bool Word(std::string_view word) { return IsWord(word) ? (++at_, true) : false; }
  bool Symbol(std::string_view symbol) { return IsSymbol(symbol) ? (++at_, true) : false; }
  Status Expect(std::string_view what, bool word) {
    if (word ? Word(what) : Symbol(what)) return {};
    return FailAt(Peek().at,
                  "`" + std::string(what) + "` is missing" + (Peek().kind == TokenKind::kEnd ? "" : " before `" + Peek().text + "`"));
  }

  static ExpressionNode Make(Op op, FieldType type, std::vector<ExpressionNode> children, bool nullable) {
    auto node = std::make_shared<Node>();
    node->op = op;
    node->type = type;
    node->nullable = nullable;
    node->children = std::move(children);
    return node;
  }
  static bool AnyNullable(const std::vector<ExpressionNode>& children) {
    return std::any_of(children.begin(), children.end(), [](const ExpressionNode& child) { return child->nullable; });
  }
  static ExpressionNode ToDouble(ExpressionNode node) {
    if (node->type == FieldType::kDouble) return node;
    const bool nullable = node->nullable;
    return Make(Op::kCast, FieldType::kDouble, {std::move(node)}, nullable);
  }
  // NULL written in the text takes the type that is wanted.
  static ExpressionNode Retype(const ExpressionNode& node, FieldType type) {
    if (node->op != Op::kNull) return node;
    return Make(Op::kNull, type, {}, true);
  }
  // Brings both sides to one type: integers meet doubles as doubles.
  Status Unify(ExpressionNode& a, ExpressionNode& b, std::size_t at) const {
    a = Retype(a, b->type);
    b = Retype(b, a->type);
    if (a->type == b->type) return {};
    const auto number = [](FieldType t) { return t == FieldType::kInt64 || t == FieldType::kDouble; };
    if (number(a->type) && number(b->type)) {
      a = ToDouble(a);
      b = ToDouble(b);
      return {};
    }
    return FailAt(
        at, std::string(FieldTypeName(a->type)) + " and " + std::string(FieldTypeName(b->type)) + " do not go together; use CAST(… AS …)");
  }
  Result<ExpressionNode> Logical(Op op, ExpressionNode a, ExpressionNode b, std::size_t at) const {
    a = Retype(a, FieldType::kBool);
    b = Retype(b, FieldType::kBool);
    if (a->type != FieldType::kBool || b->type != FieldType::kBool) return FailAt(at, "AND and OR need conditions on both sides");
    const bool nullable = a->nullable || b->nullable;
    return Make(op, FieldType::kBool, {std::move(a), std::move(b)}, nullable);
  }

  Result<ExpressionNode> Or() {
    if (++depth_ > kDepthMax) return FailAt(Peek().at, "the expression is nested too deeply");
    SL_ASSIGN_OR_RETURN(ExpressionNode left, And());
    while (IsWord("OR")) {
      const std::size_t at = tokens_[at_++].at;
      SL_ASSIGN_OR_RETURN(ExpressionNode right, And());
      SL_ASSIGN_OR_RETURN(left, Logical(Op::kOr, std::move(left), std::move(right), at));
    }
    --depth_;
    return left;
  }
  Result<ExpressionNode> And() {
    SL_ASSIGN_OR_RETURN(ExpressionNode left, Not());
    while (IsWord("AND")) {
      const std::size_t at = tokens_[at_++].at;
      SL_ASSIGN_OR_RETURN(ExpressionNode right, Not());
      SL_ASSIGN_OR_RETURN(left, Logical(Op::kAnd, std::move(left), std::move(right), at));
    }
    return left;
  }
  Result<ExpressionNode> Not() {
    if (!IsWord("NOT")) return Comparison();
    const std::size_t at = tokens_[at_++].at;
    if (++depth_ > kDepthMax) return FailAt(at, "the expression is nested too deeply");
    SL_ASSIGN_OR_RETURN(ExpressionNode operand, Not());
    --depth_;
    operand = Retype(operand, FieldType::kBool);
    if (operand->type != FieldType::kBool) return FailAt(at, "NOT needs a condition");
    const bool nullable = operand->nullable;
    return Make(Op::kNot, FieldType::kBool, {std::move(operand)}, nullable);
  }

  static ExpressionNode Negated(bool negate, ExpressionNode node) {
    if (!negate) return node;
    const bool nullable = node->nullable;
    return Make(Op::kNot, FieldType::kBool, {std::move(node)}, nullable);
  }
  Result<ExpressionNode> Compare(Op op, ExpressionNode a, ExpressionNode b, std::size_t at) const {
    SL_TRY(Unify(a, b, at));
    const bool nullable = a->nullable || b->nullable;
    return Make(op, FieldType::kBool, {std::move(a), std::move(b)}, nullable);
  }
  Result<ExpressionNode> Comparison() {
    SL_ASSIGN_OR_RETURN(ExpressionNode left, Sum());
    static constexpr std::pair<std::string_view, Op> kComparisons[] = {{"=", Op::kEqual}, {"<>", Op::kNotEqual},     {"<=", Op::kLessEqual},
                                                                       {"<", Op::kLess},  {">=", Op::kGreaterEqual}, {">", Op::kGreater}};
    for (const auto& [symbol, op] : kComparisons) {
      if (!IsSymbol(symbol)) continue;
      const std::size_t at = tokens_[at_++].at;
      SL_ASSIGN_OR_RETURN(ExpressionNode right, Sum());
      return Compare(op, std::move(left), std::move(right), at);
    }
    if (Word("IS")) {
      const bool negate = Word("NOT");
      SL_TRY(Expect("NULL", true));
      return Make(negate ? Op::kIsNotNull : Op::kIsNull, FieldType::kBool, {std::move(left)}, false);
    }
    const bool negate = IsWord("NOT") && (++at_, true);
    if (IsWord("IN")) return In(std::move(left), negate);
    if (IsWord("BETWEEN")) return Between(std::move(left), negate);
    if (IsWord("LIKE")) return Like(std::move(left), negate);
    if (negate) return FailAt(Peek().at, "IN, BETWEEN or LIKE is missing behind NOT");
    return left;
  }
  Result<ExpressionNode> In(ExpressionNode left, bool negate) {
    const std::size_t at = tokens_[at_++].at;
    SL_TRY(Expect("(", false));
    // x IN (a, b) is x = a OR x = b, with the same nulls.
    ExpressionNode any;
    do {
      SL_ASSIGN_OR_RETURN(ExpressionNode item, Sum());
      SL_ASSIGN_OR_RETURN(ExpressionNode equal, Compare(Op::kEqual, left, std::move(item), at));
      if (!any) {
        any = std::move(equal);
      } else {
        SL_ASSIGN_OR_RETURN(any, Logical(Op::kOr, std::move(any), std::move(equal), at));
      }
    } while (Symbol(","));
    SL_TRY(Expect(")", false));
    return Negated(negate, std::move(any));
  }
  Result<ExpressionNode> Between(ExpressionNode left, bool negate) {
    const std::size_t at = tokens_[at_++].at;
    SL_ASSIGN_OR_RETURN(ExpressionNode low, Sum());
    SL_TRY(Expect("AND", true));
    SL_ASSIGN_OR_RETURN(ExpressionNode high, Sum());
    SL_ASSIGN_OR_RETURN(ExpressionNode above, Compare(Op::kGreaterEqual, left, std::move(low), at));
    SL_ASSIGN_OR_RETURN(ExpressionNode below, Compare(Op::kLessEqual, left, std::move(high), at));
    SL_ASSIGN_OR_RETURN(ExpressionNode both, Logical(Op::kAnd, std::move(above), std::move(below), at));
    return Negated(negate, std::move(both));
  }
  Result<ExpressionNode> Like(ExpressionNode left, bool negate) {
    const std::size_t at = tokens_[at_++].at;
    if (Peek().kind != TokenKind::kText)
      return FailAt(Peek().at, "LIKE needs a pattern in quotes, with % for any text and _ for one character");
    if (left->type != FieldType::kString) return FailAt(at, "LIKE needs a text on its left");
    auto node = std::make_shared<Node>();
    node->op = Op::kLike;
    node->type = FieldType::kBool;
    node->nullable = left->nullable;
    node->text = tokens_[at_++].text;
    node->children.push_back(std::move(left));
    return Negated(negate, std::move(node));
  }

  Result<ExpressionNode> Arithmetic(Op op, ExpressionNode a, ExpressionNode b, std::size_t at) const {
    SL_TRY(Unify(a, b, at));
    if (op == Op::kConcat) {
      if (a->type != FieldType::kString) return FailAt(at, "|| joins texts; use CAST(… AS string)");
      const bool nullable = a->nullable || b->nullable;
      return Make(op, FieldType::kString, {std::move(a), std::move(b)}, nullable);
    }
    if (a->type != FieldType::kInt64 && a->type != FieldType::kDouble) return FailAt(at, "arithmetic needs numbers");
    const FieldType type = a->type;
    // Overflow and division by zero give null; the columns are nullable for that.
    const bool nullable = a->nullable || b->nullable || type == FieldType::kInt64 || op == Op::kDivide || op == Op::kModulo;
    return Make(op, type, {std::move(a), std::move(b)}, nullable);
  }
  Result<ExpressionNode> Sum() {
    SL_ASSIGN_OR_RETURN(ExpressionNode left, Product());
    while (IsSymbol("+") || IsSymbol("-") || IsSymbol("||")) {
      const Token token = tokens_[at_++];
      SL_ASSIGN_OR_RETURN(ExpressionNode right, Product());
      const Op op = token.text == "+" ? Op::kAdd : (token.text == "-" ? Op::kSubtract : Op::kConcat);
      SL_ASSIGN_OR_RETURN(left, Arithmetic(op, std::move(left), std::move(right), token.at));
    }
    return left;
  }
  Result<ExpressionNode> Product() {
    SL_ASSIGN_OR_RETURN(ExpressionNode left, Unary());
    while (IsSymbol("*") || IsSymbol("/") || IsSymbol("%")) {
      const Token token = tokens_[at_++];
      SL_ASSIGN_OR_RETURN(ExpressionNode right, Unary());
      const Op op = token.text == "*" ? Op::kMultiply : (token.text == "/" ? Op::kDivide : Op::kModulo);
      SL_ASSIGN_OR_RETURN(left, Arithmetic(op, std::move(left), std::move(right), token.at));
    }
    return left;
  }
  Result<ExpressionNode> Unary() {
    if (!IsSymbol("-")) return Primary();
    const std::size_t at = tokens_[at_++].at;
    // -9223372036854775808 is one number, though its digits alone are none.
    if (Peek().kind == TokenKind::kInteger) return Integer("-" + tokens_[at_++].text, at);
    if (++depth_ > kDepthMax) return FailAt(at, "the expression is nested too deeply");
    SL_ASSIGN_OR_RETURN(ExpressionNode operand, Unary());
    --depth_;
    if (operand->type != FieldType::kInt64 && operand->type != FieldType::kDouble) return FailAt(at, "- needs a number");
    const FieldType type = operand->type;
    return Make(Op::kNegate, type, {std::move(operand)}, true);
  }
  Result<ExpressionNode> Integer(const std::string& text, std::size_t at) const {
    const Result<std::int64_t> value = ParseInt64(text);
    if (!value) return FailAt(at, text + " does not fit into 64 bits");
    auto node = std::make_shared<Node>();
    node->op = Op::kInt64;
    node->int64 = *value;
    return node;
  }

  Result<ExpressionNode> Primary() {
    const Token token = Peek();
    auto node = std::make_shared<Node>();
    switch (token.kind) {
      case TokenKind::kInteger: ++at_; return Integer(token.text, token.at);
      case TokenKind::kDecimal: {
        ++at_;
        node->op = Op::kDouble;
        node->type = FieldType::kDouble;
        const char* end = token.text.data() + token.text.size();
        const auto [stop, error] = std::from_chars(token.text.data(), end, node->number);
        if (error != std::errc() || stop != end) return FailAt(token.at, token.text + " is no number");
        return node;
      }
      case TokenKind::kText:
        ++at_;
        node->op = Op::kString;
        node->type = FieldType::kString;
        node->text = token.text;
        return node;
      case TokenKind::kQuotedName: ++at_; return ColumnNode(token);
      case TokenKind::kSymbol:
        if (Symbol("(")) {
          SL_ASSIGN_OR_RETURN(ExpressionNode inner, Or());
          SL_TRY(Expect(")", false));
          return inner;
        }
        return FailAt(token.at, "`" + token.text + "` is not expected here");
      case TokenKind::kEnd: return FailAt(token.at, "the expression ends too early");
      case TokenKind::kName: return Name(token);
    }
    return FailAt(token.at, "not understood");
  }
  Result<ExpressionNode> Name(const Token& token) {
    ++at_;
    auto node = std::make_shared<Node>();
    if (token.upper == "TRUE" || token.upper == "FALSE") {
      node->op = Op::kBool;
      node->type = FieldType::kBool;
      node->int64 = token.upper == "TRUE" ? 1 : 0;
      return node;
    }
    if (token.upper == "NULL") return Make(Op::kNull, FieldType::kInt64, {}, true);
    if (token.upper == "CASE") return Case(token.at);
    if (token.upper == "CAST") return Cast(token.at);
    if (IsSymbol("(")) return Call(token);
    if (std::find(std::begin(kKeywords), std::end(kKeywords), token.upper) != std::end(kKeywords)) {
      return FailAt(token.at, "`" + token.text + "` is not expected here");
    }
    return ColumnNode(token);
  }
  Result<ExpressionNode> ColumnNode(const Token& token) const {
    const int column = schema_.Find(token.text);
    if (column < 0) {
      std::vector<std::string_view> names;
      for (const Field& field : schema_.fields) names.push_back(field.name);
      const std::string_view near = DidYouMean(token.text, names);
      return FailAt(token.at, "there is no column " + token.text + (near.empty() ? "" : "; did you mean " + std::string(near) + "?"));
    }
    auto node = std::make_shared<Node>();
    node->op = Op::kColumn;
    node->column = column;
    node->type = schema_.fields[static_cast<std::size_t>(column)].type;
    node->nullable = schema_.fields[static_cast<std::size_t>(column)].nullable;
    return node;
  }
  Result<ExpressionNode> Case(std::size_t at) {
    std::vector<ExpressionNode> children;
    std::vector<std::size_t> values;
    while (Word("WHEN")) {
      SL_ASSIGN_OR_RETURN(ExpressionNode when, Or());
      if (when->type != FieldType::kBool) return FailAt(at, "WHEN needs a condition");
      SL_TRY(Expect("THEN", true));
      SL_ASSIGN_OR_RETURN(ExpressionNode then, Or());
      children.push_back(std::move(when));
      values.push_back(children.size());
      children.push_back(std::move(then));
    }
    if (children.empty()) return FailAt(at, "CASE needs WHEN … THEN …");
    if (Word("ELSE")) {
      SL_ASSIGN_OR_RETURN(ExpressionNode otherwise, Or());
      values.push_back(children.size());
      children.push_back(std::move(otherwise));
    } else {
      values.push_back(children.size());
      children.push_back(Make(Op::kNull, FieldType::kInt64, {}, true));
    }
    SL_TRY(Expect("END", true));
    // Two passes, so that a double at the end turns the integers before it into doubles.
    for (int pass = 0; pass < 2; ++pass) {
      for (std::size_t v = 1; v < values.size(); ++v) SL_TRY(Unify(children[values[0]], children[values[v]], at));
    }
    bool nullable = false;
    for (std::size_t v : values) nullable = nullable || children[v]->nullable;
    const FieldType type = children[values[0]]->type;
    return Make(Op::kCase, type, std::move(children), nullable);
  }
  Result<ExpressionNode> Cast(std::size_t at) {
    SL_TRY(Expect("(", false));
    SL_ASSIGN_OR_RETURN(ExpressionNode operand, Or());
    SL_TRY(Expect("AS", true));
    const Token type = tokens_[at_ + 1 < tokens_.size() ? at_++ : at_];
    std::optional<FieldType> to;
    if (type.upper == "INT64" || type.upper == "BIGINT") to = FieldType::kInt64;
    if (type.upper == "DOUBLE") to = FieldType::kDouble;
    if (type.upper == "STRING" || type.upper == "VARCHAR") to = FieldType::kString;
    if (type.upper == "BOOL" || type.upper == "BOOLEAN") to = FieldType::kBool;
    if (!to) return FailAt(type.at, "CAST to " + type.text + " is not known; types are int64, double, string, bool");
    SL_TRY(Expect(")", false));
    const FieldType from = operand->type;
    if (*to == FieldType::kString && from == FieldType::kDouble) {
      return FailAt(at, "CAST of a double to string has another text on each engine and is refused");
    }
    if (*to == FieldType::kBool && from == FieldType::kDouble) return FailAt(at, "CAST of a double to bool is refused; compare it");
    return Make(Op::kCast, *to, {std::move(operand)}, true);
  }
  Result<ExpressionNode> Call(const Token& name) {
    const auto* function =
        std::find_if(std::begin(kFunctions), std::end(kFunctions), [&](const Function& f) { return f.name == name.upper; });
    if (function == std::end(kFunctions)) {
      std::vector<std::string_view> names;
      for (const Function& f : kFunctions) names.push_back(f.name);
      const std::string_view near = DidYouMean(name.upper, names);
      return FailAt(name.at, "there is no function " + name.text + (near.empty() ? "" : "; did you mean " + std::string(near) + "?"));
    }
    SL_TRY(Expect("(", false));
    std::vector<ExpressionNode> arguments;
    if (!IsSymbol(")")) {
      do {
        SL_ASSIGN_OR_RETURN(ExpressionNode argument, Or());
        arguments.push_back(std::move(argument));
      } while (Symbol(","));
    }
    SL_TRY(Expect(")", false));
    if (arguments.size() < function->arguments_min || arguments.size() > function->arguments_max) {
      return FailAt(name.at, name.text + " takes " + std::to_string(function->arguments_min) + " to " +
                                 std::to_string(function->arguments_max) + " arguments, not " + std::to_string(arguments.size()));
    }
    return CheckCall(function->op, std::move(arguments), name);
  }
  Result<ExpressionNode> CheckCall(Op op, std::vector<ExpressionNode> arguments, const Token& name) {
    const FieldType first = arguments[0]->type;
    const bool nullable = AnyNullable(arguments);
    const auto wrong = [&](std::string_view what) { return FailAt(name.at, name.text + " needs " + std::string(what)); };
    switch (op) {
      case Op::kModulo: return Arithmetic(op, arguments[0], arguments[1], name.at);
      case Op::kAbs:
        if (first != FieldType::kInt64 && first != FieldType::kDouble) return wrong("a number");
        return Make(op, first, std::move(arguments), true);
      case Op::kFloor:
      case Op::kCeil:
        if (first != FieldType::kInt64 && first != FieldType::kDouble) return wrong("a number");
        return Make(op, first, std::move(arguments), nullable);
      case Op::kCoalesce: {
        for (int pass = 0; pass < 2; ++pass) {
          for (std::size_t i = 1; i < arguments.size(); ++i) SL_TRY(Unify(arguments[0], arguments[i], name.at));
        }
        const FieldType type = arguments[0]->type;
        const bool all = std::all_of(arguments.begin(), arguments.end(), [](const ExpressionNode& a) { return a->nullable; });
        return Make(op, type, std::move(arguments), all);
      }
      case Op::kSubstring:
        for (std::size_t i = 1; i < arguments.size(); ++i) {
          if (arguments[i]->type != FieldType::kInt64) return wrong("whole numbers for place and length");
        }
        if (first != FieldType::kString) return wrong("a text");
        return Make(op, FieldType::kString, std::move(arguments), nullable);
      case Op::kStartsWith:
        if (first != FieldType::kString || arguments[1]->type != FieldType::kString) return wrong("two texts");
        return Make(op, FieldType::kBool, std::move(arguments), nullable);
      default:
        if (first != FieldType::kString) return wrong("a text");
        return Make(op, op == Op::kLength ? FieldType::kInt64 : FieldType::kString, std::move(arguments), nullable);
    }
  }

  std::vector<Token> tokens_;
  const Schema& schema_;
  std::size_t at_ = 0;
  std::size_t depth_ = 0;
};

}  // namespace

Result<Expression> Expression::Parse(std::string_view text, const Schema& schema) {
  if (text.size() > kTextMax)
    return Fail(ErrorKind::kInvalidArgument, "the expression is longer than " + std::to_string(kTextMax) + " bytes");
  SL_ASSIGN_OR_RETURN(std::vector<Token> tokens, Lexer(text).Run());
  SL_ASSIGN_OR_RETURN(ExpressionNode root, Parser(std::move(tokens), schema).Run());
  Expression expression;
  expression.canonical_ = CanonicalText(*root, schema);
  expression.root_ = std::move(root);
  return expression;
}

FieldType Expression::type() const { return root_->type; }
bool Expression::nullable() const { return root_->nullable; }
const std::string& Expression::canonical() const { return canonical_; }
void Expression::Evaluate(ColumnBatch& batch, Column& into) const { EvaluateNode(*root_, batch, into); }

}  // namespace sightline::flow
