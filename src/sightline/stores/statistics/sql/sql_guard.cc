#include "sightline/stores/statistics/sql/sql_guard.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "sightline/stores/statistics/sql/isolated_database.h"

namespace sightline::stores::duck {
namespace {

using nlohmann::json;

// Table functions that only compute.
constexpr std::array<std::string_view, 6> kTableFunctions = {"range", "generate_series", "unnest", "json_each", "json_tree", "histogram"};
// Scalar functions whose result can be far larger than their arguments.
constexpr std::array<std::string_view, 12> kAmplifiers = {"repeat", "lpad",  "rpad", "list_resize",     "array_resize", "printf",
                                                          "format", "range", "bar",  "generate_series", "write_log",    "list_pad"};

std::string Lower(std::string text) {
  std::ranges::transform(text, text.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

std::string TextOf(const json& node, const char* key) {
  const auto at = node.find(key);
  return at != node.end() && at->is_string() ? at->get<std::string>() : std::string();
}

Status CheckTableFunction(const json& node, const std::set<std::string>& functions) {
  const auto function = node.find("function");
  const std::string name = function == node.end() ? "" : Lower(TextOf(*function, "function_name"));
  if (std::ranges::find(kTableFunctions, name) != kTableFunctions.end() || functions.contains(name)) return {};
  return Fail(ErrorKind::kPermissionDenied,
              "the function " + name + " cannot be used here; SQL reads the pipelines' results, SHOW TABLES lists them");
}

Status CheckNode(const json& node, const json* parent, const std::set<std::string>& functions) {
  const std::string type = TextOf(node, "type");
  if (type == "TABLE_FUNCTION") return CheckTableFunction(node, functions);
  if (type != "FUNCTION") return {};
  const std::string name = Lower(TextOf(node, "function_name"));
  const bool in_from = parent != nullptr && TextOf(*parent, "type") == "TABLE_FUNCTION";
  if (!in_from && std::ranges::find(kAmplifiers, name) != kAmplifiers.end()) {
    return Fail(ErrorKind::kPermissionDenied, "the function " + name + " cannot be used here: its result can be far larger than its input");
  }
  return {};
}

// Every node of the tree; with a stack of its own, since nesting is the user's choice.
Status CheckTree(const json& tree, const std::set<std::string>& functions) {
  struct Visit {
    const json* node;
    const json* parent;
  };
  std::vector<Visit> todo = {{&tree, nullptr}};
  while (!todo.empty()) {
    const auto [node, parent] = todo.back();
    todo.pop_back();
    if (node->is_object()) SL_TRY(CheckNode(*node, parent, functions));
    if (!node->is_structured()) continue;
    for (const json& child : *node) todo.push_back({&child, node->is_object() ? node : parent});
  }
  return {};
}

Error Refusal(const json& tree) {
  const std::string type = TextOf(tree, "error_type");
  if (type == "not implemented") {
    return {ErrorKind::kPermissionDenied, "only SELECT statements can be run; this SQL reads the statistics and changes nothing"};
  }
  std::string message = TextOf(tree, "error_message");
  const std::string position = TextOf(tree, "position");
  if (!position.empty()) message += " (at character " + position + ")";
  return {ErrorKind::kInvalidArgument, "SQL: " + message};
}

}  // namespace

Result<std::unique_ptr<SqlGuard>> SqlGuard::Make() {
  std::unique_ptr<SqlGuard> guard(new SqlGuard);
  SL_ASSIGN_OR_RETURN(auto database, OpenIsolated(64ULL << 20));
  SL_ASSIGN_OR_RETURN(Connection connection, Connection::Open(std::move(database)));
  SL_TRY(LockConfiguration(connection));
  guard->parser_.emplace(std::move(connection));
  return guard;
}

Result<std::string> SqlGuard::Call(const std::string& function, const std::string& argument) {
  const std::vector<Value> parameters = {argument};
  const std::lock_guard lock(mutex_);
  SL_ASSIGN_OR_RETURN(Rows rows, parser_->Query("SELECT CAST(" + function + " AS VARCHAR)", parameters));
  SL_ASSIGN_OR_RETURN(duckdb_data_chunk chunk, rows.Next());
  if (chunk == nullptr || duckdb_data_chunk_get_size(chunk) != 1) return Fail(ErrorKind::kInternal, "the SQL parser gave no answer");
  const duckdb_vector vector = duckdb_data_chunk_get_vector(chunk, 0);
  const std::uint64_t* validity = duckdb_vector_get_validity(vector);
  if (validity != nullptr && (validity[0] & 1) == 0) return Fail(ErrorKind::kInternal, "the SQL parser gave no answer");
  return std::string(Text(duckdb_vector_get_data(vector), 0));
}

Result<std::string> SqlGuard::Check(const std::string& sql, const std::set<std::string>& functions) {
  SL_ASSIGN_OR_RETURN(const std::string text, Call("json_serialize_sql(?::VARCHAR)", sql));
  const json tree = json::parse(text, nullptr, false);
  if (tree.is_discarded() || !tree.is_object()) return Fail(ErrorKind::kInternal, "the SQL parser's answer cannot be read");
  if (tree.value("error", true)) return std::unexpected(Refusal(tree));
  if (!tree.contains("statements") || tree["statements"].size() != 1) {
    return Fail(ErrorKind::kInvalidArgument, "one statement at a time, please");
  }
  SL_TRY(CheckTree(tree, functions));
  return Call("json_deserialize_sql(?::JSON)", text);
}

}  // namespace sightline::stores::duck
