#include "sightline/flow/testing/naive_pipeline.h"

#include <algorithm>
#include <functional>

#include "sightline/base/int128.h"
#include "sightline/base/text.h"
#include "sightline/flow/close_steps.h"
#include "sightline/runtime/random.h"

namespace sightline::flow::testing {
namespace {

struct Condition {
  const char* sql;
  bool (*keeps)(const Reading&);  // null is no
};
constexpr Condition kConditions[] = {
    {"amount > 3", [](const Reading& r) { return r.amount && *r.amount > 3; }},
    {"good OR amount IS NULL", [](const Reading& r) { return (r.good && *r.good) || !r.amount; }},
    {"note <> 'b'", [](const Reading& r) { return r.note && *r.note != "b"; }},
    {"NOT (item LIKE 'a%' AND level < 0.5)", [](const Reading& r) { return !r.item.starts_with('a') || (r.level && *r.level >= 0.5); }},
    {"amount BETWEEN -2 AND 5 OR item IN ('cat', 'ant')",
     [](const Reading& r) { return (r.amount && *r.amount >= -2 && *r.amount <= 5) || r.item == "cat" || r.item == "ant"; }},
};

// Which rows of a closed window go on. A correction can make each come and go.
struct CloseCondition {
  const char* sql;
  bool (*keeps)(std::int64_t n);
};
constexpr CloseCondition kCloseConditions[] = {
    {"n < 5", [](std::int64_t n) { return n < 5; }},
    {"n % 2 = 1", [](std::int64_t n) { return n % 2 == 1; }},
    {"n % 3 > 0", [](std::int64_t n) { return n % 3 > 0; }},
    {"n > 2", [](std::int64_t n) { return n > 2; }},
};
bool Keeps(int condition, std::int64_t n) { return condition < 0 || kCloseConditions[condition].keeps(n); }

template <typename T>
Value Of(const std::optional<T>& value) {
  return value ? Value(*value) : Value();
}
Value Half(const Reading& r) { return r.amount ? Value(*r.amount / 2) : Value(); }

struct KeyColumn {
  const char* name;
  Value (*of)(const Reading&);
};
constexpr KeyColumn kKeys[] = {
    {"item", [](const Reading& r) { return Value(r.item); }},
    {"note", [](const Reading& r) { return Of(r.note); }},
    {"good", [](const Reading& r) { return Of(r.good); }},
    {"half", &Half},
    {"tag", [](const Reading& r) { return Value(r.note.value_or("none") + r.item); }},
};

enum class Function : std::uint8_t { kCount, kSum, kMin, kMax, kAvg, kDistinct };
struct Call {
  const char* sql;
  Function function;
  Value (*of)(const Reading&);
};
Value Amount(const Reading& r) { return Of(r.amount); }
Value Level(const Reading& r) { return Of(r.level); }
Value Note(const Reading& r) { return Of(r.note); }
constexpr Call kCalls[] = {
    {"count(amount)", Function::kCount, &Amount}, {"sum(amount)", Function::kSum, &Amount},
    {"min(amount)", Function::kMin, &Amount},     {"max(half)", Function::kMax, &Half},
    {"avg(amount)", Function::kAvg, &Amount},     {"count_distinct(amount)", Function::kDistinct, &Amount},
    {"sum(level)", Function::kSum, &Level},       {"min(level)", Function::kMin, &Level},
    {"avg(level)", Function::kAvg, &Level},       {"count_distinct(note)", Function::kDistinct, &Note},
    {"min(note)", Function::kMin, &Note},         {"max(note)", Function::kMax, &Note},
};

// A sum that does not fit is null, and says so.
Value Sum(const std::vector<Value>& values, bool& overflow) {
  if (std::holds_alternative<double>(values.front())) {
    double sum = 0;
    for (const Value& value : values) sum += std::get<double>(value);
    return sum;
  }
  Int128 sum = 0;
  for (const Value& value : values) sum += std::get<std::int64_t>(value);
  if (sum > INT64_MAX || sum < INT64_MIN) {
    overflow = true;
    return {};
  }
  return static_cast<std::int64_t>(sum);
}

Value Average(const std::vector<Value>& values) {
  const auto count = static_cast<double>(values.size());
  if (std::holds_alternative<double>(values.front())) {
    bool ignored = false;
    return std::get<double>(Sum(values, ignored)) / count;
  }
  Int128 sum = 0;
  for (const Value& value : values) sum += std::get<std::int64_t>(value);
  return static_cast<double>(sum) / count;
}

Value Apply(Function function, std::vector<Value> values, bool& overflow) {
  std::erase(values, Value());  // nulls change nothing
  if (function == Function::kCount) return static_cast<std::int64_t>(values.size());
  if (function == Function::kDistinct) return static_cast<std::int64_t>(std::set<Value>(values.begin(), values.end()).size());
  if (values.empty()) return {};
  switch (function) {
    case Function::kSum: return Sum(values, overflow);
    case Function::kAvg: return Average(values);
    case Function::kMin: return *std::min_element(values.begin(), values.end());
    default: return *std::max_element(values.begin(), values.end());
  }
}

std::int64_t Floor(std::int64_t a, std::int64_t b) { return a - ((a % b) + b) % b; }

bool HasWholeSum(const NaivePlan& plan) {
  return std::any_of(plan.aggregates.begin(), plan.aggregates.end(),
                     [](int a) { return kCalls[a].function == Function::kSum && kCalls[a].of == &Amount; });
}

std::string TextOf(const Value& value) {
  if (const auto* number = std::get_if<std::int64_t>(&value)) return std::to_string(*number);
  if (const auto* real = std::get_if<double>(&value)) return std::to_string(*real);
  if (const auto* truth = std::get_if<bool>(&value)) return *truth ? "true" : "false";
  if (const auto* text = std::get_if<std::string>(&value)) return "\"" + *text + "\"";
  return "null";
}

Value CellOf(const Column& column, std::size_t row) {
  if (column.IsNull(row)) return {};
  switch (column.type) {
    case FieldType::kInt64: return column.int64s[row];
    case FieldType::kDouble: return column.doubles[row];
    case FieldType::kBool: return column.int64s[row] != 0;
    case FieldType::kString: return std::string(column.strings[row]);
  }
  return {};
}

}  // namespace

governance::Contract ReadingContract() {
  governance::Contract contract;
  contract.name = "readings";
  const auto add = [&](const char* name, FieldType type, bool required) {
    contract.schema.fields.push_back({.name = name, .type = type, .nullable = !required});
    contract.rules.emplace_back().required = required;
  };
  add("location", FieldType::kInt64, true);
  add("id", FieldType::kInt64, true);
  add("item", FieldType::kString, true);
  add("note", FieldType::kString, false);
  add("amount", FieldType::kInt64, false);
  add("level", FieldType::kDouble, false);
  add("good", FieldType::kBool, false);
  add("at", FieldType::kInt64, true);
  contract.event_time = 7;
  return contract;
}

std::string ReadingLine(const Reading& reading) {
  std::string line = "{\"location\":" + std::to_string(reading.location) + ",\"id\":" + std::to_string(reading.id) + ",\"item\":";
  AppendJsonString(line, reading.item);
  line += ",\"note\":";
  if (reading.note) {
    AppendJsonString(line, *reading.note);
  } else {
    line += "null";
  }
  if (reading.amount) line += ",\"amount\":" + std::to_string(*reading.amount);
  if (reading.level) line += ",\"level\":" + std::to_string(*reading.level);  // quarters: exact in six digits
  if (reading.good) line += std::string(",\"good\":") + (*reading.good ? "true" : "false");
  return line + ",\"at\":" + std::to_string(reading.at) + "}";
}

std::vector<Reading> RandomReadings(std::uint64_t seed, std::size_t count, std::int64_t first_location) {
  runtime::Random random(seed);
  const auto below = [&](std::uint64_t bound) { return static_cast<std::int64_t>(random.Below(bound)); };
  static constexpr const char* kItems[] = {"ant", "ape", "cat", "dog"};
  static constexpr const char* kNotes[] = {"", "a", "b"};
  std::vector<Reading> readings;
  std::int64_t clock = 1'000'000;
  while (readings.size() < count) {
    clock += below(2'000) + (random.OneIn(80) ? below(200'000) : 0);
    Reading reading;
    if (!readings.empty() && random.OneIn(6)) {
      reading = readings[readings.size() - 1 - random.Below(std::min<std::size_t>(readings.size(), 60))];
      if (random.OneIn(2)) reading.at = clock;
    } else {
      reading.location = first_location + below(3);
      reading.id = below(1ULL << 40);
      reading.item = kItems[random.Below(std::size(kItems))];
      reading.at = clock - below(20'000) - (random.OneIn(20) ? below(300'000) : 0);
      if (!random.OneIn(4)) reading.note = kNotes[random.Below(std::size(kNotes))];
      if (!random.OneIn(5)) reading.amount = random.OneIn(40) ? INT64_MAX - below(3) : below(16) - 5;
      if (!random.OneIn(5)) reading.level = static_cast<double>(below(17) - 8) / 4;
      if (!random.OneIn(3)) reading.good = random.OneIn(2);
    }
    readings.push_back(std::move(reading));
  }
  return readings;
}

NaivePlan NaivePlan::Random(std::uint64_t seed) {
  runtime::Random random(seed * 2 + 1);
  const auto pick = [&](std::initializer_list<std::int64_t> of) { return of.begin()[random.Below(of.size())]; };
  NaivePlan plan;
  plan.out_of_orderness = pick({0, 1, 5'000, 30'000});
  plan.size = pick({10'000, 30'000, 60'000});
  plan.every = random.OneIn(2) ? plan.size : std::min(plan.size, pick({5'000, 7'000, 10'000, 25'000}));
  plan.lateness = pick({0, 0, 5'000, 40'000});
  plan.within = plan.size + plan.lateness + pick({0, 20'000, 3'600'000});
  plan.dedupe = static_cast<Key>(random.Below(3));
  plan.where = static_cast<int>(random.Below(std::size(kConditions) + 1)) - 1;
  plan.where_first = random.OneIn(2);
  for (int k = 0; k < static_cast<int>(std::size(kKeys)); ++k) {
    if (!random.OneIn(3)) continue;
    plan.by.push_back(k);
    if (random.OneIn(2)) plan.over_all.push_back(k);
  }
  // None but count(), only such as can be taken back from a running sum, or any: the engine goes three ways.
  const std::uint64_t kind = random.Below(4);
  for (int a = 0; a < static_cast<int>(std::size(kCalls)); ++a) {
    const bool reversible = kCalls[a].of == &Amount && kCalls[a].function != Function::kMin && kCalls[a].function != Function::kDistinct;
    const bool wanted = kind == 1 ? reversible && random.OneIn(2) : kind > 1 && random.OneIn(3);
    if (wanted) plan.aggregates.push_back(a);
  }
  const auto condition = [&] { return random.OneIn(2) ? -1 : static_cast<int>(random.Below(std::size(kCloseConditions))); };
  plan.close_where = condition();
  plan.sums_where = condition();
  if (seed % 4 != 0) return plan;
  // One in four has short windows of few groups that are corrected again and again, so that rows come and go in most of them.
  plan.out_of_orderness = pick({0, 1'000});
  plan.size = pick({10'000, 20'000});
  plan.every = random.OneIn(2) ? plan.size : plan.size / 2;
  plan.lateness = 40'000;
  plan.within = plan.size + plan.lateness;
  plan.where = -1;
  plan.by.resize(std::min<std::size_t>(plan.by.size(), random.Below(2)));
  plan.over_all.clear();
  while (plan.close_where < 0) plan.close_where = condition();
  return plan;
}

std::vector<PipelineSpec> NaivePlan::Specs(const std::string& dataset) const {
  PipelineSpec counts;
  counts.name = "counts";
  counts.from = dataset;
  counts.to_live = true;
  if (where >= 0 && where_first) counts.steps.push_back({WhereStep{kConditions[where].sql}, {}});
  const std::chrono::milliseconds horizon(within);
  if (dedupe == Key::kId) counts.steps.push_back({DedupeStep{{"id"}, horizon}, {}});
  if (dedupe == Key::kLocationAndNote) counts.steps.push_back({DedupeStep{{"location", "note"}, horizon}, {}});
  if (where >= 0 && !where_first) counts.steps.push_back({WhereStep{kConditions[where].sql}, {}});
  counts.steps.push_back({DeriveStep{{{"half", "amount / 2"}, {"tag", "COALESCE(note, 'none') || item"}}}, {}});
  counts.steps.push_back(
      {WindowStep{std::chrono::milliseconds(size), std::chrono::milliseconds(every), std::chrono::milliseconds(lateness)}, {}});
  AggregateStep aggregate{.by = {"location"}, .columns = {{"n", "count()"}}};
  for (int k : by) aggregate.by.emplace_back(kKeys[k].name);
  for (int a : aggregates) aggregate.columns.emplace_back("a" + std::to_string(a), kCalls[a].sql);
  counts.steps.push_back({aggregate, {}});
  if (close_where >= 0) counts.steps.push_back({WhereStep{kCloseConditions[close_where].sql}, {}});
  const auto sums = [&](const char* name, std::vector<std::string> by_names) {
    PipelineSpec spec;
    spec.name = name;
    spec.from = "counts";
    spec.to_live = true;
    by_names.insert(by_names.begin(), "window_start");
    spec.steps.push_back(
        {AggregateStep{.by = std::move(by_names), .columns = {{"n", "sum(n)"}, {"rows", "count()"}, {"most", "max(n)"}}}, {}});
    if (sums_where >= 0) spec.steps.push_back({WhereStep{kCloseConditions[sums_where].sql}, {}});
    return spec;
  };
  std::vector<std::string> all;
  for (int k : over_all) all.emplace_back(kKeys[k].name);
  return {counts, sums("over_all", std::move(all)), sums("by_location", {"location"})};
}

std::string NaivePlan::ToString() const {
  std::string out = "out_of_orderness " + std::to_string(out_of_orderness) + ", window " + std::to_string(size) + " every " +
                    std::to_string(every) + " lateness " + std::to_string(lateness) + ", dedupe " +
                    std::to_string(static_cast<int>(dedupe)) + " within " + std::to_string(within) + ", where " +
                    (where < 0 ? "none" : kConditions[where].sql) + (where_first ? " first" : "") + ", by location";
  for (int k : by) out += std::string(" ") + kKeys[k].name;
  for (int a : aggregates) out += std::string(", ") + kCalls[a].sql;
  if (close_where >= 0) out += std::string(", then where ") + kCloseConditions[close_where].sql;
  if (sums_where >= 0) out += std::string(", and where ") + kCloseConditions[sums_where].sql + " of the sums";
  return out;
}

void NaivePipeline::Add(const Reading& reading) {
  const std::int64_t before = watermark_;
  watermark_ = std::max(watermark_, reading.at - plan_.out_of_orderness);
  switch (Judge(reading, before)) {
    case Fate::kFiltered: ++filtered; return;
    case Fate::kDuplicate: ++duplicates; return;
    case Fate::kLate: ++late; return;
    case Fate::kOn: break;
  }
  std::vector<Value> key = {reading.location};
  for (int k : plan_.by) key.push_back(kKeys[k].of(reading));
  bool entered = false;
  bool missed = false;
  for (std::int64_t start = Floor(reading.at, plan_.every); start > reading.at - plan_.size; start -= plan_.every) {
    if (before != INT64_MIN && start + plan_.size + plan_.lateness <= before) {
      missed = true;
    } else {
      windows_[{start, key}].push_back(reading);
      entered = true;
    }
  }
  ++(entered ? counted : late);
  if (entered && missed) ++partially_late;
}

NaivePipeline::Fate NaivePipeline::Judge(const Reading& reading, std::int64_t before) {
  const bool kept = plan_.where < 0 || kConditions[plan_.where].keeps(reading);
  if (plan_.where_first && !kept) return Fate::kFiltered;
  const Fate fate = Dedupe(reading, before);
  if (fate != Fate::kOn) return fate;
  return kept ? Fate::kOn : Fate::kFiltered;
}

NaivePipeline::Fate NaivePipeline::Dedupe(const Reading& reading, std::int64_t before) {
  if (plan_.dedupe == NaivePlan::Key::kNone) return Fate::kOn;
  if (before != INT64_MIN && reading.at <= before - plan_.within) return Fate::kLate;
  std::vector<Value> key = {reading.id};
  if (plan_.dedupe == NaivePlan::Key::kLocationAndNote) key = {reading.location, Of(reading.note)};
  const auto found = seen_.find(key);
  // An id may be remembered a quantum longer than promised: times are kept in as many epochs as 15 bits hold.
  const std::int64_t quantum = (plan_.within + plan_.out_of_orderness) / 32766 + 1;
  const bool known =
      found != seen_.end() && (before == INT64_MIN || Floor(found->second, quantum) >= Floor(before - plan_.within, quantum));
  if (known) return Fate::kDuplicate;
  seen_[key] = reading.at;
  return Fate::kOn;
}

void NaivePipeline::Tick(std::int64_t passed_ms) {
  if (watermark_ != INT64_MIN) watermark_ += passed_ms;
}

NaiveRows NaivePipeline::Rows() const {
  NaiveRows rows;
  for (const auto& [at, readings] : windows_) {
    if (at.first + plan_.size > watermark_ || !Keeps(plan_.close_where, static_cast<std::int64_t>(readings.size()))) continue;
    std::vector<Value>& row = rows[at];
    row.emplace_back(static_cast<std::int64_t>(readings.size()));
    bool overflow = false;
    for (int a : plan_.aggregates) {
      std::vector<Value> values;
      for (const Reading& reading : readings) values.push_back(kCalls[a].of(reading));
      row.push_back(Apply(kCalls[a].function, std::move(values), overflow));
    }
    if (HasWholeSum(plan_)) row.emplace_back(overflow);
  }
  return rows;
}

namespace {

NaiveRows Sums(const NaivePlan& plan, const NaiveRows& counts, const std::function<std::vector<Value>(const std::vector<Value>&)>& key_of) {
  NaiveRows rows;
  for (const auto& [at, row] : counts) {
    const std::vector<Value> key = key_of(at.second);
    const auto n = std::get<std::int64_t>(row[0]);
    auto [found, added] = rows.try_emplace({at.first, key}, std::vector<Value>{std::int64_t{0}, std::int64_t{0}, n, false});
    std::get<std::int64_t>(found->second[0]) += n;
    std::get<std::int64_t>(found->second[1]) += 1;
    std::get<std::int64_t>(found->second[2]) = std::max(std::get<std::int64_t>(found->second[2]), n);
  }
  std::erase_if(rows, [&](const auto& entry) { return !Keeps(plan.sums_where, std::get<std::int64_t>(entry.second[0])); });
  return rows;
}

}  // namespace

NaiveRows NaiveOverAll(const NaivePlan& plan, const NaiveRows& counts) {
  return Sums(plan, counts, [&](const std::vector<Value>& at) {
    std::vector<Value> key;
    for (std::size_t k = 0; k < plan.by.size(); ++k) {
      const bool wanted = std::find(plan.over_all.begin(), plan.over_all.end(), plan.by[k]) != plan.over_all.end();
      if (wanted) key.push_back(at[k + 1]);
    }
    return key;
  });
}

NaiveRows NaiveByLocation(const NaivePlan& plan, const NaiveRows& counts) {
  return Sums(plan, counts, [](const std::vector<Value>& at) { return std::vector<Value>{at[0]}; });
}

std::string DifferenceOf(const NaiveRows& expected, const NaiveRows& actual) {
  constexpr int kShown = 5;
  std::string out;
  int shown = 0;
  const auto show = [&](const NaiveRows& rows, const NaiveRows& others, char sign) {
    for (const auto& [at, row] : rows) {
      const auto other = others.find(at);
      if ((other != others.end() && other->second == row) || shown++ >= 2 * kShown) continue;
      out += std::string(1, sign) + " " + std::to_string(at.first);
      for (const Value& value : at.second) out += " " + TextOf(value);
      out += " :";
      for (const Value& value : row) out += " " + TextOf(value);
      out += "\n";
    }
  };
  show(expected, actual, '-');
  shown = std::min(shown, kShown);
  show(actual, expected, '+');
  return out;
}

Status NewestRows::Take(std::string_view bytes) {
  ResultRecord record;
  SL_TRY(DecodeResult(bytes, shape_.schema, record));
  if (record.closed) return {};
  const std::int64_t start = record.header.window_start.value;
  const std::string group = GroupKey(shape_, record.rows, 0);
  if (group.empty()) return Fail(ErrorKind::kInternal, "a result of no group");
  const auto [known, first] = groups_.try_emplace({start, group});
  auto& [revision, rows] = known->second;
  if (!first && record.header.revision <= revision) return Fail(ErrorKind::kInternal, "a revision that does not rise");
  if ((record.header.revision == 0) != (record.header.state == ResultState::kFinal))
    return Fail(ErrorKind::kInternal, "a correction is a revision above 0, and nothing else is");
  if (record.emptied != (record.rows.rows == 0)) return Fail(ErrorKind::kInternal, "a result without rows that does not say so");
  if (record.emptied && record.header.revision == 0) return Fail(ErrorKind::kInternal, "an emptied group that is no correction");
  revision = record.header.revision;
  rows.clear();
  for (std::size_t row = 0; row < record.rows.rows; ++row) {
    std::vector<Value> cells;
    for (const Column& column : record.rows.columns) cells.push_back(CellOf(column, row));
    const auto middle = cells.begin() + static_cast<std::ptrdiff_t>(keys_);
    const auto [at, added] = rows.try_emplace({start, {cells.begin(), middle}}, std::vector<Value>(middle, cells.end()));
    if (!added) return Fail(ErrorKind::kInternal, "a key twice in one result");
  }
  return {};
}

NaiveRows NewestRows::rows() const {
  NaiveRows all;
  for (const auto& [group, newest] : groups_) all.insert(newest.second.begin(), newest.second.end());
  return all;
}

}  // namespace sightline::flow::testing
