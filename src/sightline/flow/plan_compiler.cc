#include <algorithm>

#include "sightline/base/hash.h"
#include "sightline/base/text.h"
#include "sightline/flow/plan_compiler_internal.h"

namespace sightline::flow {
namespace {

constexpr std::string_view kWindowStart = "window_start";
constexpr std::string_view kWindowEnd = "window_end";

bool IsWindowColumn(std::string_view name) { return name == kWindowStart || name == kWindowEnd; }

// SQL does not tell names apart that differ in case only, so neither do we where they become columns of results.
std::string Lower(std::string_view name) {
  std::string lower(name);
  for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return lower;
}

// Columns that every result row has besides those of its pipeline.
bool IsReserved(std::string_view name) {
  const std::string lower = Lower(name);
  return IsWindowColumn(lower) || lower == "state" || lower == "revision";
}

std::string Join(const std::vector<std::string>& names) {
  std::string out;
  for (const std::string& name : names) out += (out.empty() ? "" : ", ") + name;
  return out;
}

std::string Trim(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(" \t");
  if (begin == std::string_view::npos) return "";
  return std::string(text.substr(begin, text.find_last_not_of(" \t") - begin + 1));
}

}  // namespace

void PipelineCompiler::Problem(std::string message) {
  problems_.push_back({place_, "pipeline " + spec_.name + ": " + std::move(message)});
  failed_ = true;
}

int PipelineCompiler::Column(const std::string& name, std::string_view what) {
  const int at = schema_.Find(name);
  if (at >= 0) return at;
  std::vector<std::string_view> names;
  for (const Field& field : schema_.fields) names.push_back(field.name);
  const std::string_view near = DidYouMean(name, names);
  Problem(std::string(what) + " names " + name + ", which is no column here" +
          (near.empty() ? "" : "; did you mean " + std::string(near) + "?"));
  return -1;
}

bool PipelineCompiler::Closing() const { return out_.kind != PipelineKind::kRoot || aggregated_; }

bool PipelineCompiler::CheckName(const std::string& name, const Schema& others) {
  if (IsReserved(name)) {
    Problem("every result row has a column " + Lower(name) + " of its own; choose another name, such as item_" + Lower(name));
    return false;
  }
  for (const Field& other : others.fields) {
    if (Lower(other.name) != Lower(name)) continue;
    Problem("a column named " + other.name + " exists already" +
            (other.name == name ? std::string() : ", and SQL does not tell " + name + " from it") + "; choose another name");
    return false;
  }
  return true;
}

void PipelineCompiler::AddColumn(Field field, std::size_t at) {
  if (!CheckName(field.name, schema_)) return;
  schema_.fields.insert(schema_.fields.begin() + static_cast<std::ptrdiff_t>(at), std::move(field));
}

void PipelineCompiler::PushClose(CloseOp op) { out_.close_ops.push_back(std::move(op)); }

bool PipelineCompiler::DeterminesPartition(const std::vector<std::string>& names) const {
  const std::string& by = dataset_->contract->schema.fields[static_cast<std::size_t>(dataset_->partition_by)].name;
  return std::any_of(names.begin(), names.end(), [&](const std::string& name) {
    const auto& implies = dataset_->implies_partition;
    return name == by || std::find(implies.begin(), implies.end(), name) != implies.end();
  });
}

void PipelineCompiler::CompileSource(int index) {
  dataset_ = plan_.FindDataset(spec_.from);
  if (dataset_ != nullptr) {
    out_.kind = PipelineKind::kRoot;
    out_.root = index;
    out_.engine = spec_.engine;
    schema_ = dataset_->contract->schema;
    canonical_ = "semantics " + std::to_string(kSemanticsVersion) + "\ndataset " + dataset_->name + " topic " + dataset_->topic +
                 " partitions " + std::to_string(dataset_->partitions) + " by " +
                 schema_.fields[static_cast<std::size_t>(dataset_->partition_by)].name + "\n";
    for (const Field& field : schema_.fields) {
      canonical_ += "field " + field.name + " " + std::string(FieldTypeName(field.type)) + (field.nullable ? " null\n" : "\n");
    }
    canonical_ += "watermark " + dataset_->watermark.on + " - " + FormatDuration(dataset_->watermark.out_of_orderness) + "\n";
  } else {
    out_.parent = plan_.Find(spec_.from);
    const PipelinePlan& parent = plan_.pipelines[static_cast<std::size_t>(out_.parent)];
    out_.kind = PipelineKind::kFused;
    out_.root = parent.root;
    out_.window = parent.window;
    out_.engine = parent.engine;
    out_.keys = parent.keys;
    schema_ = parent.shape.schema;
    canonical_ = parent.canonical;
    windowed_ = aggregated_ = true;
    // The dataset at the root says what determines the partition.
    const PipelinePlan* at = &parent;
    while (at->parent >= 0) at = &plan_.pipelines[static_cast<std::size_t>(at->parent)];
    dataset_ = plan_.FindDataset(at->from);
    if (parent.kind == PipelineKind::kMerge) keeps_partition_ = true;
    for (int column : parent.shape.group) group_names_.push_back(schema_.fields[static_cast<std::size_t>(column)].name);
  }
  canonical_ += "\npipeline " + spec_.name + "\n";
  out_.input = schema_;
}

std::optional<PipelinePlan> PipelineCompiler::Compile(int index) {
  out_.name = spec_.name;
  out_.from = spec_.from;
  out_.to_statistics = spec_.to_statistics;
  out_.to_live = spec_.to_live;
  out_.retain = spec_.retain;
  place_ = spec_.place;
  CompileSource(index);
  for (const Step& step : spec_.steps) {
    place_ = step.place;
    CompileStep(step);
    if (failed_) return std::nullopt;  // what follows would only repeat the mistake
  }
  place_ = spec_.place;
  Finish(index);
  if (failed_) return std::nullopt;
  return std::move(out_);
}

void PipelineCompiler::CompileStep(const Step& step) {
  if (Closing()) out_.close_schemas.push_back(schema_);
  const std::size_t ops = out_.close_ops.size();
  const bool closing = Closing();
  if (const auto* where = std::get_if<WhereStep>(&step.step)) Where(*where);
  if (const auto* derive = std::get_if<DeriveStep>(&step.step)) Derive(*derive);
  if (const auto* dedupe = std::get_if<DedupeStep>(&step.step)) Dedupe(*dedupe);
  if (const auto* enrich = std::get_if<EnrichStep>(&step.step)) Enrich(*enrich);
  if (const auto* window = std::get_if<WindowStep>(&step.step)) Window(*window);
  if (const auto* rank = std::get_if<RankStep>(&step.step)) Rank(*rank);
  if (const auto* aggregate = std::get_if<AggregateStep>(&step.step)) {
    if (closing) {
      Regroup(*aggregate);
    } else {
      RootAggregate(*aggregate);
    }
  }
  if (closing && out_.close_ops.size() == ops && !failed_) Problem("this step can't stand behind an aggregate");
}

void PipelineCompiler::Where(const WhereStep& step) {
  Result<Expression> predicate = Expression::Parse(step.expression, schema_);
  if (!predicate) return Problem("where: " + predicate.error().message);
  if (predicate->type() != FieldType::kBool) {
    return Problem("where: `" + step.expression + "` is of type " + std::string(FieldTypeName(predicate->type())) + ", and must be bool");
  }
  canonical_ += "where " + predicate->canonical() + "\n";
  if (Closing()) {
    PushClose(WhereOp{*predicate});
  } else {
    out_.row_ops.push_back(WhereOp{*predicate});
  }
}

void PipelineCompiler::Derive(const DeriveStep& step) {
  DeriveOp op;
  for (const auto& [name, text] : step.columns) {
    Result<Expression> expression = Expression::Parse(text, schema_);
    if (!expression) return Problem("derive " + name + ": " + expression.error().message);
    canonical_ += "derive " + name + " = " + expression->canonical() + "\n";
    AddColumn({.name = name, .type = expression->type(), .nullable = expression->nullable()}, schema_.fields.size());
    if (failed_) return;
    op.columns.push_back(std::move(*expression));
  }
  if (op.columns.empty()) return Problem("derive: names no column");
  if (Closing()) {
    PushClose(std::move(op));
  } else {
    out_.row_ops.push_back(std::move(op));
  }
}

void PipelineCompiler::Dedupe(const DedupeStep& step) {
  if (Closing()) return Problem("dedupe works on records: put it before the aggregate of a pipeline that reads a dataset");
  if (windowed_) return Problem("dedupe stands before the window");
  DedupeOp op;
  for (const std::string& name : step.by) op.by.push_back(Column(name, "dedupe"));
  if (failed_) return;
  if (op.by.empty()) return Problem("dedupe: `by` names no column");
  if (!DeterminesPartition(step.by) && !Shuffles()) {
    return Problem("dedupe by " + Join(step.by) + " does not determine the partition (" +
                   dataset_->contract->schema.fields[static_cast<std::size_t>(dataset_->partition_by)].name +
                   "): add that field, or declare in the dataset that one of these implies it");
  }
  for (const RowOp& other : out_.row_ops) {
    if (std::holds_alternative<DedupeOp>(other)) return Problem("a pipeline dedupes once; list all fields in one `by`");
  }
  const Field& first = schema_.fields[static_cast<std::size_t>(op.by[0])];
  op.plain = op.by.size() == 1 && first.type == FieldType::kInt64 && !first.nullable;
  op.within = step.within.count();
  canonical_ += "dedupe by " + Join(step.by) + " within " + FormatDuration(step.within) + "\n";
  out_.row_ops.push_back(std::move(op));
}

void PipelineCompiler::Enrich(const EnrichStep& step) {
  const auto reference =
      std::find_if(plan_.references.begin(), plan_.references.end(), [&](const ReferencePlan& r) { return r.name == step.with; });
  if (reference == plan_.references.end()) {
    std::vector<std::string_view> names;
    for (const ReferencePlan& r : plan_.references) names.push_back(r.name);
    const std::string_view near = DidYouMean(step.with, names);
    return Problem("enrich names the reference " + step.with + ", which is not configured" +
                   (near.empty() ? "" : "; did you mean " + std::string(near) + "?"));
  }
  EnrichOp op;
  op.reference = step.with;
  op.drop_missing = step.missing == EnrichStep::Missing::kDrop;
  op.on = Column(step.on, "enrich");
  if (failed_) return;
  const Field& key = reference->schema.fields[static_cast<std::size_t>(reference->key)];
  const FieldType on_type = schema_.fields[static_cast<std::size_t>(op.on)].type;
  if (key.type != on_type) {
    return Problem("enrich: " + step.on + " is " + std::string(FieldTypeName(on_type)) + ", but the key " + key.name + " of " + step.with +
                   " is " + std::string(FieldTypeName(key.type)));
  }
  canonical_ += "enrich with " + step.with + " on " + step.on + (op.drop_missing ? " drop" : " keep");
  std::size_t at = static_cast<std::size_t>(op.on) + 1;
  for (std::size_t i = 0; i < reference->schema.fields.size(); ++i) {
    Field field = reference->schema.fields[i];
    const bool wanted = step.take.empty() ? static_cast<int>(i) != reference->key
                                          : std::find(step.take.begin(), step.take.end(), field.name) != step.take.end();
    if (!wanted) continue;
    canonical_ += " " + field.name;
    field.nullable = field.nullable || !op.drop_missing;
    op.take.push_back(static_cast<int>(i));
    op.types.push_back(field.type);
    AddColumn(std::move(field), at++);
    if (failed_) return;
  }
  if (op.take.size() < std::max<std::size_t>(step.take.size(), 1)) {
    return Problem("enrich: `take` names a column that " + step.with + " does not have");
  }
  canonical_ += "\n";
  if (Closing()) {
    PushClose(std::move(op));
  } else {
    out_.row_ops.push_back(std::move(op));
  }
}

void PipelineCompiler::Window(const WindowStep& step) {
  if (Closing()) return Problem("only a pipeline that reads a dataset has a window, before its aggregate");
  if (windowed_) return Problem("a pipeline has one window");
  if (step.size.count() <= 0 || step.every.count() <= 0) return Problem("a window needs a length and a step above 0");
  if (step.every > step.size) return Problem("a sliding window's `every` is at most its length, or records between windows would be lost");
  windowed_ = true;
  out_.window = step;
  canonical_ += "window " + FormatDuration(step.size) + " every " + FormatDuration(step.every) + " lateness " +
                FormatDuration(step.allowed_lateness) + "\n";
  for (const RowOp& op : out_.row_ops) {
    const auto* dedupe = std::get_if<DedupeOp>(&op);
    if (dedupe != nullptr && dedupe->within < (step.size + step.allowed_lateness).count()) {
      Problem("dedupe `within` " + FormatDuration(std::chrono::milliseconds(dedupe->within)) +
              " is shorter than the window plus its allowed lateness (" + FormatDuration(step.size + step.allowed_lateness) +
              "): a duplicate could be counted again within one window; make it at least that long");
    }
  }
}

std::optional<Aggregate> PipelineCompiler::ParseAggregate(const std::string& name, const std::string& call) {
  const std::size_t open = call.find('(');
  const std::size_t close = call.rfind(')');
  if (open == std::string::npos || close != call.size() - 1 || close < open) {
    Problem("aggregate " + name + ": `" + call + "` is no call such as count() or sum(item_count)");
    return std::nullopt;
  }
  const std::string function = Trim(call.substr(0, open));
  const std::string argument = Trim(call.substr(open + 1, close - open - 1));
  Aggregate out;
  out.name = name;
  if (function == "count" && (argument.empty() || argument == "*")) return out;
  static constexpr std::string_view kNames[] = {"count", "sum", "min", "max", "avg", "count_distinct"};
  static constexpr AggregateKind kKinds[] = {AggregateKind::kCountValues, AggregateKind::kSum, AggregateKind::kMin,
                                             AggregateKind::kMax,         AggregateKind::kAvg, AggregateKind::kCountDistinct};
  const auto* found = std::find(std::begin(kNames), std::end(kNames), function);
  if (found == std::end(kNames)) {
    const std::string_view near = DidYouMean(function, kNames);
    Problem("aggregate " + name + ": there is no function " + function + (near.empty() ? "" : "; did you mean " + std::string(near) + "?") +
            " (count, sum, min, max, avg, count_distinct)");
    return std::nullopt;
  }
  out.kind = kKinds[found - std::begin(kNames)];
  out.input = Column(argument, "aggregate " + name);
  if (failed_) return std::nullopt;
  out.input_type = schema_.fields[static_cast<std::size_t>(out.input)].type;
  const bool number = out.input_type == FieldType::kInt64 || out.input_type == FieldType::kDouble;
  if ((out.kind == AggregateKind::kSum || out.kind == AggregateKind::kAvg) && !number) {
    Problem("aggregate " + name + ": " + function + " needs a number, and " + argument + " is " +
            std::string(FieldTypeName(out.input_type)));
    return std::nullopt;
  }
  if (out.kind == AggregateKind::kSum || out.kind == AggregateKind::kMin || out.kind == AggregateKind::kMax) out.type = out.input_type;
  if (out.kind == AggregateKind::kAvg) out.type = FieldType::kDouble;
  return out;
}

std::vector<Aggregate> PipelineCompiler::Aggregates(const AggregateStep& step) {
  std::vector<Aggregate> aggregates;
  for (const auto& [name, call] : step.columns) {
    std::optional<Aggregate> aggregate = ParseAggregate(name, call);
    if (!aggregate) return {};
    canonical_ += "aggregate " + name + " = " + call + "\n";
    aggregates.push_back(std::move(*aggregate));
  }
  if (aggregates.empty()) Problem("aggregate computes nothing: add a column such as `item_count: count()`");
  return aggregates;
}

namespace {

// The schema after an aggregate: the keys, then the values, then the flag of sums that did not fit.
Schema AggregatedSchema(const Schema& before, const std::vector<int>& by, const std::vector<Aggregate>& aggregates) {
  Schema after;
  bool overflow = false;
  for (int column : by) after.fields.push_back(before.fields[static_cast<std::size_t>(column)]);
  for (const Aggregate& aggregate : aggregates) {
    const bool counts = aggregate.kind == AggregateKind::kCount || aggregate.kind == AggregateKind::kCountValues ||
                        aggregate.kind == AggregateKind::kCountDistinct;
    after.fields.push_back({.name = aggregate.name, .type = aggregate.type, .nullable = !counts});
    overflow = overflow || (aggregate.kind == AggregateKind::kSum && aggregate.type == FieldType::kInt64);
  }
  if (overflow) after.fields.push_back({.name = "overflow", .type = FieldType::kBool});
  return after;
}

}  // namespace

void PipelineCompiler::CheckResultNames() {
  Schema before;
  for (const Field& field : schema_.fields) {
    if (!CheckName(field.name, before)) return;
    before.fields.push_back(field);
  }
}

void PipelineCompiler::RootAggregate(const AggregateStep& step) {
  if (!windowed_) return Problem("an aggregate needs a window before it");
  for (const std::string& name : step.by) {
    if (IsWindowColumn(name)) return Problem("aggregate: groups are within the window already; leave " + name + " out of `by`");
    out_.group_by.push_back(Column(name, "aggregate `by`"));
    if (failed_) return;
  }
  if (step.by.size() > 60) return Problem("aggregate: at most 60 columns in `by`");
  if (!DeterminesPartition(step.by) && !Shuffles()) {
    return Problem("aggregate by " + Join(step.by) + " leaves out " +
                   dataset_->contract->schema.fields[static_cast<std::size_t>(dataset_->partition_by)].name +
                   ", by which the dataset is partitioned, so that its groups would need a shuffle: aggregate by it here and over all "
                   "of it in a second pipeline on this one's results, or run it on Flink (`engine: flink`)");
  }
  canonical_ += "by " + Join(step.by) + "\n";
  out_.aggregates = Aggregates(step);
  if (failed_) return;
  out_.rows = schema_;
  schema_ = AggregatedSchema(schema_, out_.group_by, out_.aggregates);
  CheckResultNames();
  out_.keys = group_names_ = step.by;
  aggregated_ = true;
}

void PipelineCompiler::Regroup(const AggregateStep& step) {
  RegroupOp op;
  bool window = false;
  std::vector<std::string> names;
  for (const std::string& name : step.by) {
    if (IsWindowColumn(name)) {
      window = true;
      continue;
    }
    op.by.push_back(Column(name, "aggregate `by`"));
    names.push_back(name);
    if (failed_) return;
  }
  if (!window) return Problem("an aggregate over results keeps their windows: add window_start to `by`");
  canonical_ += "by window_start, " + Join(names) + "\n";
  op.aggregates = Aggregates(step);
  if (failed_) return;
  keeps_partition_ = keeps_partition_ && DeterminesPartition(names);
  schema_ = AggregatedSchema(schema_, op.by, op.aggregates);
  CheckResultNames();
  std::erase_if(out_.keys, [&](const std::string& key) { return std::find(names.begin(), names.end(), key) == names.end(); });
  group_names_ = names;
  PushClose(std::move(op));
}

void PipelineCompiler::Rank(const RankStep& step) {
  if (!Closing()) return Problem("rank stands behind an aggregate");
  if (out_.ranked) return Problem("a pipeline ranks once");
  RankOp op;
  std::vector<std::string> names;
  for (const std::string& name : step.within) {
    if (IsWindowColumn(name)) continue;
    op.within.push_back(Column(name, "rank `within`"));
    names.push_back(name);
    if (failed_) return;
  }
  op.by = Column(step.by, "rank `by`");
  if (failed_) return;
  op.top = step.top;
  if (op.top < 1) return Problem("rank: `top` is at least 1");
  // Ties go to the rest of the group's key, in order: for top items, the item's name in byte order.
  for (const std::string& name : group_names_) {
    const int column = schema_.Find(name);
    if (column >= 0 && std::find(op.within.begin(), op.within.end(), column) == op.within.end()) op.ties.push_back(column);
  }
  keeps_partition_ = keeps_partition_ && DeterminesPartition(names);
  canonical_ += "rank within " + Join(names) + " by " + step.by + " top " + std::to_string(step.top) + "\n";
  group_names_ = names;
  out_.ranked = true;
  PushClose(std::move(op));
  AddColumn({.name = "rank", .type = FieldType::kInt64}, schema_.fields.size());
}

void PipelineCompiler::Finish(int index) {
  if (out_.kind == PipelineKind::kRoot) {
    if (!windowed_ || !aggregated_) {
      return Problem("a pipeline that reads a dataset needs a window and an aggregate");
    }
    if (!keeps_partition_ && !Shuffles()) {
      return Problem("this rank or aggregate leaves out the partition's field: put it into a second pipeline that reads " + spec_.name);
    }
  } else {
    const PipelinePlan& parent = plan_.pipelines[static_cast<std::size_t>(out_.parent)];
    const bool merged_parent = plan_.pipelines[static_cast<std::size_t>(parent.root)].kind == PipelineKind::kMerge;
    if (!keeps_partition_ && !merged_parent) {
      out_.kind = PipelineKind::kMerge;
      out_.root = index;
      if (parent.kind == PipelineKind::kFused && parent.ranked) {
        return Problem("it adds up the ranked rows of " + parent.name + ", which leave out what ranked below; read from " + parent.from +
                       " instead");
      }
    }
  }
  out_.close_schemas.push_back(schema_);
  out_.shape.pipeline = spec_.name;
  out_.shape.schema = schema_;
  FindUnit();
  for (const std::string& name : group_names_) {
    const int column = schema_.Find(name);
    if (column >= 0) out_.shape.group.push_back(column);
  }
  if (Scattered()) GatherRows();
  out_.may_empty = MayEmpty();
  if (out_.may_empty) canonical_ += "results that a correction empties are put out without rows\n";
  out_.canonical = canonical_;
  out_.fingerprint = Hash64(canonical_);
}

// The unit of a result: the rank's groups, else the partition's field where it is still there, else the whole key; over all
// partitions the whole window.
void PipelineCompiler::FindUnit() {
  if (!out_.ranked) {
    const std::string& by = dataset_->contract->schema.fields[static_cast<std::size_t>(dataset_->partition_by)].name;
    const bool has = std::find(group_names_.begin(), group_names_.end(), by) != group_names_.end();
    if (out_.root >= 0 && has) group_names_ = {by};
    if (!has && out_.kind == PipelineKind::kMerge) group_names_.clear();
  }
  if (BehindMerge()) return;  // a window is always put out whole there: what was put out before is known
  // A group whose value changes with its rows (a count, a name from a reference) would leave its rows behind under the old value: such
  // columns are no part of the unit.
  std::vector<std::string> keys = group_names_;
  std::erase_if(keys, [&](const std::string& name) { return !IsKey(name); });
  if (keys.size() == group_names_.size() || !DeterminesPartition(keys)) return;
  canonical_ += "results by " + Join(keys) + "\n";
  group_names_ = std::move(keys);
  for (std::size_t i = 0; i < out_.close_ops.size(); ++i) {
    auto* rank = std::get_if<RankOp>(&out_.close_ops[i]);
    if (rank == nullptr) continue;
    const std::vector<Field>& fields = out_.close_schemas[i].fields;
    // Rows of one result stand together.
    std::stable_partition(rank->within.begin(), rank->within.end(),
                          [&](int column) { return IsKey(fields[static_cast<std::size_t>(column)].name); });
  }
}

bool PipelineCompiler::BehindMerge() const {
  return out_.kind == PipelineKind::kMerge ||
         (out_.kind == PipelineKind::kFused && plan_.pipelines[static_cast<std::size_t>(out_.root)].kind == PipelineKind::kMerge);
}

bool PipelineCompiler::IsKey(const std::string& name) const {
  return std::find(out_.keys.begin(), out_.keys.end(), name) != out_.keys.end();
}

// Does a ranking of a parent, whose order is still that of the rows, put something before what makes up a result here?
bool PipelineCompiler::Scattered() const {
  const std::vector<int>& group = out_.shape.group;
  for (const PipelinePlan* at = &out_;; at = &plan_.pipelines[static_cast<std::size_t>(at->parent)]) {
    for (std::size_t i = at->close_ops.size(); i-- > 0;) {
      if (std::holds_alternative<RegroupOp>(at->close_ops[i])) return false;
      const auto* rank = std::get_if<RankOp>(&at->close_ops[i]);
      const auto* gather = std::get_if<GatherOp>(&at->close_ops[i]);
      if (rank == nullptr && gather == nullptr) continue;
      std::span<const int> order = rank != nullptr ? rank->within : gather->by;
      if (order.size() < group.size()) return true;
      order = order.first(group.size());
      return !std::all_of(order.begin(), order.end(), [&](int column) {
        const int here = out_.shape.schema.Find(at->close_schemas[i].fields[static_cast<std::size_t>(column)].name);
        return std::find(group.begin(), group.end(), here) != group.end();
      });
    }
    if (at->kind != PipelineKind::kFused) return false;
  }
}

void PipelineCompiler::GatherRows() {
  out_.close_ops.emplace_back(GatherOp{out_.shape.group});
  out_.close_schemas.push_back(schema_);
  canonical_ += "rows of one result together\n";
}

// Rows never leave an aggregate, so that only what comes behind it can leave a group without any.
bool PipelineCompiler::MayEmpty() const {
  std::vector<std::string> unit;
  for (int column : out_.shape.group) unit.push_back(out_.shape.schema.fields[static_cast<std::size_t>(column)].name);
  if (!std::all_of(unit.begin(), unit.end(), [&](const std::string& name) { return IsKey(name); })) return true;
  for (const PipelinePlan* at = &out_;; at = &plan_.pipelines[static_cast<std::size_t>(at->parent)]) {
    for (std::size_t i = 0; i < at->close_ops.size(); ++i) {
      if (std::holds_alternative<WhereOp>(at->close_ops[i])) return true;
      const auto* enrich = std::get_if<EnrichOp>(&at->close_ops[i]);
      if (enrich != nullptr && enrich->drop_missing) return true;
      const auto* rank = std::get_if<RankOp>(&at->close_ops[i]);
      if (rank == nullptr) continue;
      // Each of its groups keeps a row, and with it every wider one.
      std::vector<std::string> within;
      for (int column : rank->within) within.push_back(at->close_schemas[i].fields[static_cast<std::size_t>(column)].name);
      const auto kept = [&](const std::string& name) { return std::find(within.begin(), within.end(), name) != within.end(); };
      if (!std::all_of(unit.begin(), unit.end(), kept)) return true;
    }
    if (at->parent < 0) return false;
  }
}

}  // namespace sightline::flow
