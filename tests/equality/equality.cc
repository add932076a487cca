#include "tests/equality/equality.h"

#include <algorithm>
#include <set>

#include <nlohmann/json.hpp>

#include "sightline/base/text.h"
#include "sightline/model/time.h"
#include "tests/kafka/kafka_ground.h"

namespace sightline::equality {
namespace {

using scenario::InputLine;
using scenario::Outcome;
using scenario::Pace;
using scenario::Scenario;
using scenario::Table;
using Row = std::vector<std::string>;
using Rows = std::vector<Row>;

constexpr std::int64_t kFar = 400LL * 24 * 60 * 60 * 1000;  // behind every window, lateness and horizon

// A value that any contract of the scenarios takes.
nlohmann::json ValueOf(const Field& field, std::int64_t partition) {
  switch (field.type) {
    case FieldType::kInt64: return 1'000'000'007 + partition;
    case FieldType::kDouble: return 0.5;
    case FieldType::kBool: return true;
    case FieldType::kString: return "the end of " + std::to_string(partition);
  }
  return nullptr;
}

// Adds the last records; the earliest time of one.
Result<std::int64_t> Close(const config::Config& config, Scenario& scenario) {
  std::int64_t last = 0;
  for (const InputLine& line : scenario.input) {
    last = std::max(last, line.append_time);
    const nlohmann::json record = nlohmann::json::parse(line.bytes, nullptr, false);
    if (!record.is_object()) continue;
    for (const config::DatasetConfig& dataset : config.datasets) {
      const auto at = record.find(dataset.watermark.on);
      if (at != record.end() && at->is_number_integer()) last = std::max(last, at->get<std::int64_t>());
    }
  }
  const std::int64_t end = std::min(last + kFar, kEventTimeMax.value);
  for (const config::DatasetConfig& dataset : config.datasets) {
    for (std::int32_t partition = 0; partition < dataset.partitions; ++partition) {
      nlohmann::json record;
      for (const Field& field : dataset.contract.schema.fields) record[field.name] = ValueOf(field, partition);
      record[dataset.watermark.on] = end;
      InputLine line;
      line.dataset = dataset.name;
      line.partition = partition;
      line.append_time = end;
      line.bytes = record.dump();
      scenario.input.push_back(std::move(line));
    }
  }
  return end;
}

// The newest rows of each result, without how they came about; windows of the last records are left out.
Rows FinalRows(const Table& table, const std::vector<std::string>& identity, std::int64_t before) {
  std::map<Row, std::pair<std::int64_t, Rows>> results;
  const auto revision = static_cast<std::size_t>(table.Find("revision"));
  const auto end = static_cast<std::size_t>(table.Find("window_end"));
  for (const Row& row : table.rows) {
    if (ParseInt64(row[end]).value_or(0) > before) continue;
    Row key;
    for (const std::string& column : identity) key.push_back(row[static_cast<std::size_t>(table.Find(column))]);
    auto& [newest, rows] = results[key];
    const std::int64_t this_revision = ParseInt64(row[revision]).value_or(0);
    if (this_revision < newest) continue;
    if (this_revision > newest) rows.clear();
    newest = this_revision;
    // From the window on, up to the state: partition, revision and reference version are not compared.
    if (!scenario::IsNoRow(row)) rows.emplace_back(row.begin() + 1, row.end() - 3);
  }
  Rows all;
  for (const auto& [key, of] : results) all.insert(all.end(), of.second.begin(), of.second.end());
  std::ranges::sort(all);
  return all;
}

// Late and future records, by partition and bytes.
Rows Late(const Table& table) {
  Rows all;
  for (const Row& row : table.rows) {
    const std::string& reason = row[static_cast<std::size_t>(table.Find("reason"))];
    if (reason != "late" && reason != "future") continue;
    all.push_back({row[static_cast<std::size_t>(table.Find("partition"))], reason, row[static_cast<std::size_t>(table.Find("original"))]});
  }
  std::ranges::sort(all);
  return all;
}

std::string Compare(const std::string& what, const Rows& expected, const Rows& actual) {
  std::string out;
  const auto list = [&](const Rows& of, const Rows& without, char sign) {
    for (const Row& row : of) {
      if (std::ranges::count(of, row) <= std::ranges::count(without, row)) continue;
      out += std::string("    ") + sign;
      for (const std::string& cell : row) out += " " + cell.substr(0, 60) + " |";
      out += "\n";
    }
  };
  list(expected, actual, '-');
  list(actual, expected, '+');
  return out.empty() ? out : "  " + what + "\n" + out;
}

// The rows that a table in the scenario gives, under the columns that the results have.
Rows Written(const Table& written, const Table& like) {
  Rows all;
  for (const Row& row : written.rows) {
    Row& cells = all.emplace_back();
    for (std::size_t c = 1; c + 3 < like.columns.size(); ++c) {
      const int at = written.Find(like.columns[c]);
      cells.push_back(at >= 0 ? row[static_cast<std::size_t>(at)] : "");
    }
  }
  std::ranges::sort(all);
  return all;
}
Rows WithoutMissing(Rows rows, const Table& written, const Table& like) {
  for (Row& row : rows) {
    for (std::size_t c = 1; c + 3 < like.columns.size(); ++c) {
      if (written.Find(like.columns[c]) < 0) row[c - 1].clear();
    }
  }
  std::ranges::sort(rows);
  return rows;
}

struct Compared {
  std::string differences;
  std::size_t rows = 0;
  std::size_t late = 0;
};

// `own`: the scenario's word on what is otherwise there, for Flink.
Compared CompareOutcomes(const std::string& engine, const Outcome& embedded, const Outcome& other, std::int64_t before,
                         const Scenario* own) {
  Compared compared;
  for (const auto& [pipeline, table] : embedded.results) {
    const Rows came = FinalRows(other.results.at(pipeline), embedded.identity.at(pipeline), before);
    const auto written = own == nullptr ? std::map<std::string, Table>::const_iterator() : own->flink_results.find(pipeline);
    if (own != nullptr && written != own->flink_results.end()) {
      compared.differences += Compare(engine + ": results of " + pipeline + " by its own rule", Written(written->second, table),
                                      WithoutMissing(came, written->second, table));
    } else {
      const Rows expected = FinalRows(table, embedded.identity.at(pipeline), before);
      compared.differences += Compare(engine + ": results of " + pipeline, expected, came);
    }
    compared.rows += came.size();
  }
  for (const auto& [pipeline, table] : embedded.dead_letters) {
    const auto letters = other.dead_letters.find(pipeline);
    if (letters == other.dead_letters.end()) continue;
    if (own != nullptr && own->flink_dead_letters.contains(pipeline)) {
      compared.differences += Compare(engine + ": late records of " + pipeline + " by its own rule",
                                      Late(own->flink_dead_letters.at(pipeline)), Late(letters->second));
    } else {
      compared.differences += Compare(engine + ": late records of " + pipeline, Late(table), Late(letters->second));
    }
    compared.late += Late(letters->second).size();
  }
  return compared;
}

std::string AboutOf(const std::string& path);

struct Ready {
  Scenario scenario;
  std::int64_t before = 0;  // windows that end later belong to the last records
};
Result<Ready> Read(const std::string& path) {
  Ready ready;
  SL_ASSIGN_OR_RETURN(ready.scenario, scenario::LoadScenario(path));
  const std::unique_ptr<scenario::Prepared> prepared = scenario::Prepare(ready.scenario);
  if (prepared->plan == nullptr) return Fail(ErrorKind::kInvalidArgument, prepared->mistakes);
  SL_ASSIGN_OR_RETURN(const std::int64_t end, Close(*prepared->loaded.config, ready.scenario));
  std::int64_t behind = 0;
  for (const config::DatasetConfig& dataset : prepared->loaded.config->datasets) {
    behind = std::max<std::int64_t>(behind, dataset.watermark.out_of_orderness.count());
  }
  ready.before = end - behind;
  return ready;
}

}  // namespace

Verdict CheckScenario(const std::string& path, const FlinkCluster& cluster, Workers workers) {
  Verdict verdict;
  const auto wrong = [&](const std::string& why) {
    verdict.kind = Verdict::Kind::kWrong;
    verdict.remark = why;
    return verdict;
  };
  const Result<Ready> ready = Read(path);
  if (!ready) return wrong(ready.error().message);
  const Scenario& scenario = ready->scenario;
  verdict.scenario = scenario.name;
  verdict.about = AboutOf(path);
  const std::unique_ptr<scenario::Ground> simulated = scenario::MakeSimulatedGround();
  const Result<Outcome> embedded = scenario::RunScenario(scenario, Pace::kAllAtOnce, *simulated);
  if (!embedded) return wrong("embedded: " + embedded.error().ToString());
  std::string differences;
  if (workers == Workers::kRun) {
    const std::unique_ptr<scenario::KafkaScenarioGround> ground = scenario::MakeKafkaGround(scenario::Store::kNone);
    const Result<Outcome> kafka = scenario::RunScenario(scenario, Pace::kAllAtOnce, *ground);
    if (!kafka) return wrong("workers: " + kafka.error().ToString());
    differences += CompareOutcomes("workers", *embedded, *kafka, ready->before, nullptr).differences;
  }
  std::map<std::string, std::string> texts;
  const Result<Outcome> flink = RunOnFlink(scenario, cluster, Gate::kJudged, {}, texts);
  if (!scenario.flink_refused.empty()) {
    if (flink) return wrong("the plan for Flink should be refused with: " + scenario.flink_refused);
    if (flink.error().message.find(scenario.flink_refused) == std::string::npos) return wrong("flink: " + flink.error().message);
    verdict.kind = differences.empty() ? Verdict::Kind::kRefused : Verdict::Kind::kWrong;
    verdict.remark = differences.empty() ? scenario.flink_refused : differences;
    return verdict;
  }
  if (!flink) return wrong("flink: " + flink.error().ToString());
  const Compared compared = CompareOutcomes("flink", *embedded, *flink, ready->before, &scenario);
  verdict.rows = compared.rows;
  verdict.late = compared.late;
  differences += compared.differences;
  if (!differences.empty()) {
    for (const auto& [root, text] : texts) differences += "  -- the job of " + root + ":\n" + text;
    return wrong(differences);
  }
  verdict.kind = scenario.flink_differs.empty() ? Verdict::Kind::kEqual : Verdict::Kind::kOwnRule;
  verdict.remark = scenario.flink_differs;
  return verdict;
}

namespace {

std::string AboutOf(const std::string& path) {
  Result<std::string> text = scenario::TextOf(path);
  if (!text) return "";
  std::string about = text->substr(0, text->find("\n\n"));
  std::ranges::replace(about, '\n', ' ');
  return about.substr(0, about.find(". "));
}

// Every statement with `from` gets `to` in its place.
Change Replace(std::string from, std::string to) {
  return [from = std::move(from), to = std::move(to)](flink::Job& job) {
    for (flink::Statement& statement : job.statements) {
      for (std::size_t at = 0; (at = statement.sql.find(from, at)) != std::string::npos; at += to.size()) {
        statement.sql.replace(at, from.size(), to);
      }
    }
  };
}

}  // namespace

std::vector<Planted> AllPlanted() {
  return {
      {"ties in the other order", "ties_in_rank", Gate::kJudged, Replace("item ASC", "item DESC")},
      {"late a millisecond early", "window_boundaries", Gate::kJudged, Replace("+ 59999, 3)", "+ 59998, 3)")},
      {"the watermark without its millisecond", "window_boundaries", Gate::kJudged, Replace("'30.001' SECOND", "'30' SECOND")},
      {"late after the deduplication, by the window", "late_in_a_partition_that_is_ahead", Gate::kJudged, Replace("WHERE NOT is_late", "")},
      {"nulls are counted", "aggregates", Gate::kJudged, Replace("COUNT(amount) AS amounts", "COUNT(*) AS amounts")},
      {"another time zone", "tumbling", Gate::kJudged,
       Replace("'table.local-time-zone' = 'UTC'", "'table.local-time-zone' = 'Asia/Singapore'")},
      {"Flink's JSON instead of the gate", "invalid_records", Gate::kNone,
       Replace("'json.ignore-parse-errors' = 'false'", "'json.ignore-parse-errors' = 'true'")},
      {"sums of 64 bits", "sum_overflow", Gate::kJudged, Replace("SUM(CAST(amount AS DECIMAL(38, 0)))", "SUM(amount)")},
  };
}

std::string CheckPlanted(const Planted& planted, const FlinkCluster& cluster) {
  const Result<Ready> ready = Read(std::string("tests/scenario/cases/") + planted.scenario + ".scenario");
  if (!ready) return ready.error().message;
  const std::unique_ptr<scenario::Ground> simulated = scenario::MakeSimulatedGround();
  const Result<Outcome> embedded = scenario::RunScenario(ready->scenario, Pace::kAllAtOnce, *simulated);
  if (!embedded) return embedded.error().ToString();
  std::map<std::string, std::string> right;
  bool changed = planted.gate == Gate::kNone;
  const Change change = [&](flink::Job& job) {
    const std::string before = flink::JobText(job);
    planted.change(job);
    changed = changed || flink::JobText(job) != before;
  };
  const Result<Outcome> flink = RunOnFlink(ready->scenario, cluster, planted.gate, change, right);
  if (!changed) return "the mistake could not be put into the job: its text has changed";
  if (!flink) return {};  // it does not even run
  if (CompareOutcomes("flink", *embedded, *flink, ready->before, &ready->scenario).differences.empty()) return "nobody noticed";
  return {};
}

}  // namespace sightline::equality
