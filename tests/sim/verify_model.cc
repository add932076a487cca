// The comparison with the naive model, which knows nothing of the engine.
#include <algorithm>
#include <set>

#include "sightline/flow/testing/fixture.h"
#include "sightline/model/dead_letter.h"
#include "sightline/model/result.h"
#include "tests/sim/verify.h"

namespace sightline::sim {
namespace {

using flow::testing::NaiveModel;

std::string At(const std::string& topic, std::int32_t partition) { return topic + "/" + std::to_string(partition); }

const Column& ColumnOf(const flow::PipelinePlan& plan, const ResultRecord& record, const char* name) {
  return record.rows.columns[static_cast<std::size_t>(plan.shape.schema.Find(name))];
}

}  // namespace

void Verification::CheckModel(std::int32_t partition, const std::vector<SeenRecord>& log, const Sinks& sinks) {
  NaiveModel& model = models_.emplace_back(scenario_.model);
  std::vector<std::pair<std::int64_t, Verdict>> letters;
  std::array<std::uint64_t, kVerdicts> verdicts{};
  for (std::size_t i = 0; i < log.size(); ++i) {
    if (log[i].type == bus::BatchType::kTick) {
      model.Tick(log[i].append_time);
      continue;
    }
    const auto found = offered_.find(log[i].value);
    if (found == offered_.end())
      return checks_.Violated("doubled", At(kDataset, partition) + " has a record that nobody sent at offset " + std::to_string(i));
    Verdict verdict = found->second->verdict;
    if (verdict == Verdict::kCounted) {
      verdict = model.Add(found->second->event, log[i].append_time);
    } else {
      model.NoteAppend(log[i].append_time);
    }
    ++verdicts[static_cast<std::size_t>(verdict)];
    const bool silent = verdict == Verdict::kCounted || verdict == Verdict::kFiltered || verdict == Verdict::kDuplicate;
    if (!silent) letters.emplace_back(static_cast<std::int64_t>(i), verdict);
  }
  const flow::TaskStatus status = world_.StatusOf(static_cast<std::size_t>(partition));
  for (std::size_t v = 0; v < kVerdicts; ++v) {
    if (status.counters.verdicts[v] == verdicts[v]) continue;
    return checks_.Violated("accounting", "item_counts/" + std::to_string(partition) + " counts " +
                                              std::to_string(status.counters.verdicts[v]) + " " + std::string(kVerdictNames[v]) +
                                              ", the model " + std::to_string(verdicts[v]));
  }
  CheckDeadLetters(partition, letters, sinks);
  if (!checks_.over()) CheckCountedRows(partition, sinks);
  if (checks_.over()) return;
  const std::string topic = flow::Plan::ResultsTopic("top_items");
  flow::testing::RankedRows ranked(PlanOf("top_items"));
  for (const SeenRecord& record : sinks.Find(topic, partition)->follower.seen()) ranked.Take(record.value);
  const auto is = ranked.rows();
  const auto expected = model.Ranked();
  if (ranked.broken > 0 || is != expected) {
    checks_.Violated("model", At(topic, partition) + " has " + std::to_string(is.size()) + " rows, and they are not the " +
                                  std::to_string(expected.size()) + " of the naive model");
  }
}

// Each refused record is a dead letter once, in the order of the log.
void Verification::CheckDeadLetters(std::int32_t partition, const std::vector<std::pair<std::int64_t, Verdict>>& expected,
                                    const Sinks& sinks) {
  const std::string topic = flow::Plan::DeadLetterTopic("item_counts");
  std::vector<std::pair<std::int64_t, Verdict>> is;
  for (const SeenRecord& record : sinks.Find(topic, partition)->follower.seen()) {
    const auto letter = DecodeDeadLetter(record.value);
    if (!letter) return checks_.Violated("dead letters", At(topic, partition) + ": " + letter.error().ToString());
    is.emplace_back(letter->offset.value, letter->reason);
  }
  if (is != expected) {
    checks_.Violated("dead letters", At(topic, partition) + " has " + std::to_string(is.size()) + " dead letters, and they are not the " +
                                         std::to_string(expected.size()) + " of the model, one each");
  }
}

void Verification::CheckCountedRows(std::int32_t partition, const Sinks& sinks) {
  const flow::PipelinePlan& plan = PlanOf("item_counts");
  const std::string topic = flow::Plan::ResultsTopic(plan.name);
  NaiveModel::Counts is;
  for (const SeenRecord& seen : sinks.Find(topic, partition)->follower.seen()) {
    ResultRecord record;
    if (const Status decoded = DecodeResult(seen.value, plan.shape.schema, record); !decoded)
      return checks_.Violated("model", decoded.error().ToString());
    if (record.closed || record.rows.rows == 0) continue;
    auto& group = is[record.header.window_start.value][ColumnOf(plan, record, "geographical_location_oid").int64s[0]];
    group.clear();  // a revision replaces its group as a unit
    for (std::size_t row = 0; row < record.rows.rows; ++row) {
      group[std::string(ColumnOf(plan, record, "item_name").strings[row])] = ColumnOf(plan, record, "item_count").int64s[row];
    }
  }
  if (is != models_.back().counts()) checks_.Violated("model", At(topic, partition) + ": its counts are not those of the naive model");
}

// How often the merge may correct each window: once for each correction that it reads, and once for each partition that had said that it
// is idle, so that nobody waited for its records. Otherwise a window goes out once, when all partitions have closed it.
std::map<std::int64_t, std::size_t> Verification::AllowedCorrections(const Sinks& sinks) {
  const flow::PipelinePlan& parent = PlanOf("item_counts");
  std::map<std::int64_t, std::size_t> allowed;
  for (std::int32_t p = 0; p < scenario_.partitions; ++p) {
    bool said_idle = false;
    std::set<std::int64_t> joined;
    for (const SeenRecord& seen : sinks.Find(flow::Plan::ResultsTopic(parent.name), p)->follower.seen()) {
      ResultRecord record;
      if (!DecodeResult(seen.value, parent.shape.schema, record)) continue;
      said_idle = said_idle || (record.closed && record.header.window_end == kWatermarkNone);
      if (record.closed) continue;
      const std::int64_t start = record.header.window_start.value;
      if (record.header.state == ResultState::kCorrected || (said_idle && joined.insert(start).second)) ++allowed[start];
    }
  }
  return allowed;
}

// The merge over all partitions: sums, then ranks; each revision once and in order.
void Verification::CheckOverall(const Sinks& sinks) {
  const flow::PipelinePlan& plan = PlanOf("top_items_overall");
  const std::string topic = flow::Plan::ResultsTopic(plan.name);
  using Rows = std::vector<std::tuple<std::string, std::int64_t, std::int64_t>>;  // item, count, rank
  std::map<std::int64_t, Rows> is;
  std::map<std::int64_t, std::uint32_t> revisions;
  std::map<std::int64_t, std::size_t> allowed = AllowedCorrections(sinks);
  for (const SeenRecord& seen : sinks.Find(topic, 0)->follower.seen()) {
    ResultRecord record;
    if (const Status decoded = DecodeResult(seen.value, plan.shape.schema, record); !decoded)
      return checks_.Violated("overall", decoded.error().ToString());
    if (record.closed || record.rows.rows == 0) continue;
    const std::int64_t start = record.header.window_start.value;
    // The first is a final one, or corrects a window that was over without any record.
    const auto [last, first] = revisions.try_emplace(start, record.header.revision);
    const bool in_order = first ? record.header.revision <= 1 : record.header.revision == last->second + 1;
    const bool state = (record.header.revision == 0) == (record.header.state == ResultState::kFinal);
    if (!in_order || !state) {
      return checks_.Violated("overall", "window " + std::to_string(start) + " of " + topic + " has revision " +
                                             std::to_string(record.header.revision) + " out of order");
    }
    if (record.header.state == ResultState::kCorrected && allowed[start]-- == 0) {
      return checks_.Violated("overall", "window " + std::to_string(start) + " of " + topic +
                                             " is corrected without a reason: it went out before all partitions had closed it");
    }
    last->second = record.header.revision;
    Rows& rows = is[start];
    rows.clear();
    for (std::size_t row = 0; row < record.rows.rows; ++row) {
      rows.emplace_back(ColumnOf(plan, record, "item_name").strings[row], ColumnOf(plan, record, "item_count").int64s[row],
                        ColumnOf(plan, record, "rank").int64s[row]);
    }
  }
  std::map<std::int64_t, std::map<std::string, std::int64_t>> sums;
  for (const NaiveModel& model : models_) {
    for (const auto& [start, locations] : model.counts()) {
      for (const auto& [location, items] : locations) {
        for (const auto& [item, count] : items) sums[start][item] += count;
      }
    }
  }
  std::map<std::int64_t, Rows> expected;
  for (const auto& [start, items] : sums) {
    std::vector<std::pair<std::int64_t, std::string>> order;
    for (const auto& [item, count] : items) order.emplace_back(-count, item);
    std::ranges::sort(order);
    for (std::size_t i = 0; i < order.size() && i < static_cast<std::size_t>(scenario_.model.top); ++i) {
      expected[start].emplace_back(order[i].second, -order[i].first, static_cast<std::int64_t>(i + 1));
    }
  }
  // What came after a window was given up is in the dead letters instead.
  for (const SeenRecord& seen : sinks.Find(flow::Plan::DeadLetterTopic(plan.name), 0)->follower.seen()) {
    const auto letter = DecodeDeadLetter(seen.value);
    ResultRecord record;
    if (!letter || !DecodeResult(letter->original, PlanOf("item_counts").shape.schema, record))
      return checks_.Violated("dead letters", "a letter of " + topic + " is broken");
    expected.erase(record.header.window_start.value);
    is.erase(record.header.window_start.value);
  }
  for (const auto& [start, rows] : expected) {
    const auto found = is.find(start);
    if (found != is.end() && found->second == rows) continue;
    return checks_.Violated("overall", "window " + std::to_string(start) + " of " + topic +
                                           (found == is.end() ? " is missing" : " has other rows than the naive model"));
  }
  if (is.size() != expected.size()) return checks_.Violated("overall", topic + " has windows that the naive model has not");
  CheckOverallCounts(sinks);
}

// A pipeline on another's results counts result rows: in = taken up + late.
void Verification::CheckOverallCounts(const Sinks& sinks) {
  const flow::PipelinePlan& parent = PlanOf("item_counts");
  const auto rows_in = [&](const std::string& topic, std::int32_t partition, bool letters) {
    std::uint64_t rows = 0;
    for (const SeenRecord& seen : sinks.Find(topic, partition)->follower.seen()) {
      ResultRecord record;
      const auto letter = letters ? DecodeDeadLetter(seen.value) : Result<DeadLetter>(DeadLetter{});
      if (!letter || !DecodeResult(letters ? letter->original : std::string_view(seen.value), parent.shape.schema, record)) continue;
      rows += record.closed ? 0 : record.rows.rows;
    }
    return rows;
  };
  std::uint64_t offered = 0;
  for (std::int32_t p = 0; p < scenario_.partitions; ++p) offered += rows_in(flow::Plan::ResultsTopic(parent.name), p, false);
  const std::uint64_t late = rows_in(flow::Plan::DeadLetterTopic("top_items_overall"), 0, true);
  const flow::TaskStatus status = world_.StatusOf(world_.task_count() - 1);
  if (status.members[0].rows_in != offered || status.members[0].rows_late != late) {
    checks_.Violated("accounting", "top_items_overall counts " + std::to_string(status.members[0].rows_in) + " rows in and " +
                                       std::to_string(status.members[0].rows_late) + " late; the topics have " + std::to_string(offered) +
                                       " and " + std::to_string(late));
  }
}

}  // namespace sightline::sim
