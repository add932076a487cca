#include "tests/scenario/comparison.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "sightline/base/text.h"

namespace sightline::scenario {
namespace {

constexpr std::size_t kCellShown = 60;

using Row = std::vector<std::string>;
using Rows = std::vector<Row>;

// A text has one spelling: escapes are resolved.
std::string Normalised(const std::string& cell) {
  if (!cell.starts_with('"')) return cell;
  const nlohmann::json value = nlohmann::json::parse(cell, nullptr, false);
  if (!value.is_string()) return cell;
  std::string out;
  AppendJsonString(out, value.get<std::string>());
  return out;
}

// `row` of `table` under other columns; what the table does not have is taken from `missing`.
Row Project(const Table& table, const Row& row, const std::vector<std::string>& columns,
            const std::map<std::string, std::string>& missing) {
  Row out;
  for (const std::string& column : columns) {
    const int at = table.Find(column);
    out.push_back(at >= 0 ? Normalised(row[static_cast<std::size_t>(at)]) : missing.at(column));
  }
  return out;
}

std::string Shown(const std::string& cell) {
  return cell.size() <= kCellShown ? cell : cell.substr(0, kCellShown - 3) + "... (" + std::to_string(cell.size()) + " bytes)";
}

// Rows one above the other, "-" before those that are missing and "+" before those that nobody expected.
std::string Diff(const std::vector<std::string>& columns, const Rows& expected, const Rows& actual) {
  // Longest common subsequence, from the end.
  std::vector<std::vector<std::size_t>> common(expected.size() + 1, std::vector<std::size_t>(actual.size() + 1, 0));
  for (std::size_t i = expected.size(); i-- > 0;) {
    for (std::size_t j = actual.size(); j-- > 0;) {
      common[i][j] = expected[i] == actual[j] ? common[i + 1][j + 1] + 1 : std::max(common[i + 1][j], common[i][j + 1]);
    }
  }
  std::vector<std::pair<char, const Row*>> lines = {{' ', &columns}};
  for (std::size_t i = 0, j = 0; i < expected.size() || j < actual.size();) {
    if (i < expected.size() && j < actual.size() && expected[i] == actual[j]) {
      lines.emplace_back(' ', &expected[i]);
      ++i, ++j;
    } else if (i < expected.size() && (j == actual.size() || common[i + 1][j] >= common[i][j + 1])) {
      lines.emplace_back('-', &expected[i++]);
    } else {
      lines.emplace_back('+', &actual[j++]);
    }
  }
  std::vector<std::size_t> widths(columns.size(), 0);
  for (const auto& [sign, row] : lines) {
    for (std::size_t c = 0; c < row->size(); ++c) widths[c] = std::max(widths[c], Shown((*row)[c]).size());
  }
  std::string out;
  for (const auto& [sign, row] : lines) {
    std::string line = std::string("    ") + sign + " ";
    for (std::size_t c = 0; c < row->size(); ++c) {
      const std::string cell = Shown((*row)[c]);
      line += (c == 0 ? "" : " | ") + cell + std::string(widths[c] - cell.size(), ' ');
    }
    out += line + "\n";
  }
  return out;
}

std::string Compare(const std::string& what, const std::vector<std::string>& columns, const Rows& expected, const Rows& actual) {
  if (expected == actual) return {};
  return "  " + what + " (- expected, + what came):\n" + Diff(columns, expected, actual);
}

// The rows as a reader of the results has them at the end: of each result its newest revision, in the order of their texts.
Rows Newest(const Table& table, const std::vector<std::string>& identity, const std::vector<std::string>& columns,
            const std::map<std::string, std::string>& missing) {
  std::map<Row, std::pair<std::int64_t, Rows>> results;
  for (const Row& row : table.rows) {
    const std::int64_t revision = ParseInt64(Project(table, row, {"revision"}, missing)[0]).value_or(0);
    auto& [newest, rows] = results[Project(table, row, identity, missing)];
    if (revision < newest) continue;
    if (revision > newest) rows.clear();
    newest = revision;
    rows.push_back(Project(table, row, columns, missing));
  }
  Rows all;
  // Whether a group that has no rows had some on the way is not seen at the end.
  for (auto& [key, result] : results) std::erase_if(result.second, &IsNoRow);
  for (auto& [key, result] : results) all.insert(all.end(), result.second.begin(), result.second.end());
  std::sort(all.begin(), all.end());
  return all;
}

std::string CompareResults(const std::string& pipeline, const Table& expected, const Table& actual, const Outcome& outcome, Pace pace) {
  const std::map<std::string, std::string> missing = {{"state", "final"}, {"revision", "0"}};
  std::vector<std::string> columns = expected.columns;
  for (const std::string& column : columns) {
    if (actual.Find(column) < 0) return "  results of " + pipeline + ": it has no column " + column + "\n";
  }
  for (const std::string& column : actual.columns) {
    const bool optional = column == "partition" || column == "window_end" || column == "reference";
    if (expected.Find(column) >= 0 || optional) continue;
    if (!missing.contains(column) && !expected.columns.empty()) {
      return "  results of " + pipeline + ": the scenario leaves out the column " + column + "\n";
    }
    columns.push_back(column);
  }
  const bool merge = std::find(outcome.merges.begin(), outcome.merges.end(), pipeline) != outcome.merges.end();
  Rows wanted;
  Rows came;
  if (merge && pace == Pace::kAllAtOnce) {
    std::erase_if(columns, [&](const std::string& column) { return missing.contains(column); });
    wanted = Newest(expected, outcome.identity.at(pipeline), columns, missing);
    came = Newest(actual, outcome.identity.at(pipeline), columns, missing);
  } else {
    for (const Row& row : expected.rows) wanted.push_back(Project(expected, row, columns, missing));
    for (const Row& row : actual.rows) came.push_back(Project(actual, row, columns, missing));
  }
  return Compare("results of " + pipeline, columns, wanted, came);
}

std::string CompareDeadLetters(const std::string& pipeline, const Table& expected, const Table& actual) {
  const std::vector<std::string>& columns = expected.columns.empty() ? actual.columns : expected.columns;
  for (const std::string& column : columns) {
    if (actual.Find(column) < 0) return "  dead letters of " + pipeline + ": they have no column " + column + "\n";
  }
  Rows wanted;
  Rows came;
  for (const Row& row : expected.rows) wanted.push_back(Project(expected, row, columns, {}));
  for (const Row& row : actual.rows) came.push_back(Project(actual, row, columns, {}));
  return Compare("dead letters of " + pipeline, columns, wanted, came);
}

std::string CompareCounts(const std::string& pipeline, const Counts& expected, const Counts& actual, bool root) {
  const auto find = [](const Counts& counts, const std::string& name) {
    return std::find_if(counts.begin(), counts.end(), [&](const auto& entry) { return entry.first == name; });
  };
  std::string out;
  for (const auto& [name, value] : expected) {
    const auto at = find(actual, name);
    if (at == actual.end()) return "  counts of " + pipeline + ": there is no count " + name + "\n";
    if (at->second == value) continue;
    out += "    " + name + ": expected " + std::to_string(value) + ", came " + std::to_string(at->second) + "\n";
  }
  for (const auto& [name, value] : actual) {
    // What a scenario does not name is zero, as far as it is about records.
    const bool of_rows = name.starts_with("rows_") || name.starts_with("watermark/");
    if (!root || of_rows || value == 0 || find(expected, name) != expected.end()) continue;
    out += "    " + name + ": expected 0, came " + std::to_string(value) + "\n";
  }
  return out.empty() ? out : "  counts of " + pipeline + ":\n" + out;
}

std::string UnknownNames(const Scenario& scenario, const Outcome& outcome) {
  std::string out;
  const auto check = [&](const auto& sections, const char* what) {
    for (const auto& [name, section] : sections) {
      if (!outcome.results.contains(name)) out += std::string("  ") + what + " " + name + ": there is no such pipeline\n";
    }
  };
  check(scenario.results, "results");
  check(scenario.dead_letters, "dead letters");
  check(scenario.counts, "counts");
  for (const std::string& root : outcome.roots) {
    if (!scenario.counts.contains(root)) out += "  the scenario lacks -- counts " + root + " --\n";
  }
  return out;
}

}  // namespace

std::string Differences(const Scenario& scenario, const Outcome& outcome, Pace pace) {
  std::string out = UnknownNames(scenario, outcome);
  const Table nothing;
  for (const auto& [pipeline, actual] : outcome.results) {
    if (std::find(scenario.unchecked.begin(), scenario.unchecked.end(), pipeline) != scenario.unchecked.end()) continue;
    const auto expected = scenario.results.find(pipeline);
    out += CompareResults(pipeline, expected == scenario.results.end() ? nothing : expected->second, actual, outcome, pace);
  }
  for (const auto& [pipeline, actual] : outcome.dead_letters) {
    const auto expected = scenario.dead_letters.find(pipeline);
    out += CompareDeadLetters(pipeline, expected == scenario.dead_letters.end() ? nothing : expected->second, actual);
  }
  for (const auto& [pipeline, actual] : outcome.counts) {
    const auto expected = scenario.counts.find(pipeline);
    const bool root = std::find(outcome.roots.begin(), outcome.roots.end(), pipeline) != outcome.roots.end();
    // How often rows are corrected on the way depends on the pace where several partitions are added up.
    const bool merge = std::find(outcome.merges.begin(), outcome.merges.end(), pipeline) != outcome.merges.end();
    if (expected == scenario.counts.end() || (merge && pace == Pace::kAllAtOnce)) continue;
    out += CompareCounts(pipeline, expected->second, actual, root);
  }
  for (const std::string& problem : outcome.problems) out += "  the accounting does not hold: " + problem + "\n";
  return out;
}

}  // namespace sightline::scenario
