#include "connectors/flink/job.h"

#include <algorithm>
#include <set>

#include "connectors/flink/rows_internal.h"
#include "connectors/flink/select_internal.h"
#include "connectors/flink/sql_words.h"
#include "connectors/flink/tables_internal.h"
#include "sightline/base/text.h"

namespace sightline::flink {
namespace {

using std::chrono::milliseconds;

// The columns before each step of records and behind the last. The plan keeps the last alone: steps add columns and take none away, so that
// each column's place there is known when all steps have been gone through.
std::vector<Schema> RowSchemas(const flow::PipelinePlan& root) {
  std::vector<std::vector<std::size_t>> layouts(1);  // columns by the number that they were made with
  for (std::size_t i = 0; i < root.input.fields.size(); ++i) layouts[0].push_back(i);
  std::size_t made = layouts[0].size();
  for (const flow::RowOp& op : root.row_ops) {
    std::vector<std::size_t> layout = layouts.back();
    if (const auto* derive = std::get_if<flow::DeriveOp>(&op)) {
      for (std::size_t i = 0; i < derive->columns.size(); ++i) layout.push_back(made++);
    }
    if (const auto* enrich = std::get_if<flow::EnrichOp>(&op)) {
      for (std::size_t i = 0; i < enrich->take.size(); ++i)
        layout.insert(layout.begin() + enrich->on + 1 + static_cast<std::ptrdiff_t>(i), made++);
    }
    layouts.push_back(std::move(layout));
  }
  std::vector<const Field*> fields(made, nullptr);
  for (std::size_t place = 0; place < layouts.back().size(); ++place) fields[layouts.back()[place]] = &root.rows.fields[place];
  std::vector<Schema> schemas;
  for (const std::vector<std::size_t>& layout : layouts) {
    Schema& schema = schemas.emplace_back();
    for (const std::size_t number : layout) schema.fields.push_back(*fields[number]);
  }
  return schemas;
}

class Compiler {
 public:
  Compiler(const flow::Plan& plan, const JobSettings& settings)
      : plan_(plan), settings_(settings), writer_(plan, settings, views_, refusals_) {}

  std::expected<Job, std::vector<std::string>> Run(const std::vector<std::string>& names) {
    if (!FindRoot(names)) return std::unexpected(refusals_);
    root_name_ = plan_.pipelines[static_cast<std::size_t>(root_)].name;
    dataset_ = plan_.FindDataset(plan_.pipelines[static_cast<std::size_t>(root_)].from);
    FindNeeded();
    Check();
    Root();
    for (const int index : needed_) {
      if (index != root_) Behind(index);
    }
    for (const std::string& name : names) Results(plan_.Find(name));
    if (!refusals_.empty()) return std::unexpected(refusals_);
    return Finish(names);
  }

 private:
  const flow::PipelinePlan& At(int index) const { return plan_.pipelines[static_cast<std::size_t>(index)]; }

  bool FindRoot(const std::vector<std::string>& names) {
    for (const std::string& name : names) {
      int index = plan_.Find(name);
      if (index < 0) {
        std::vector<std::string_view> known;
        for (const flow::PipelinePlan& pipeline : plan_.pipelines) known.push_back(pipeline.name);
        const std::string_view near = DidYouMean(name, known);
        refusals_.push_back("there is no pipeline " + name + (near.empty() ? "" : "; did you mean " + std::string(near) + "?"));
        continue;
      }
      for (; index >= 0; index = At(index).parent) needed_.insert(index);
    }
    for (const int index : needed_) {
      if (At(index).parent >= 0) continue;
      if (root_ >= 0) {
        refusals_.push_back("pipelines " + At(root_).name + " and " + At(index).name +
                            " read their datasets each by itself: submit a job for each");
      }
      root_ = index;
    }
    return refusals_.empty() && root_ >= 0;
  }

  // Joins behind the window go by its time.
  void FindNeeded() {
    for (const int index : needed_) {
      const flow::PipelinePlan& pipeline = At(index);
      for (const flow::RowOp& op : pipeline.row_ops) {
        if (const auto* enrich = std::get_if<flow::EnrichOp>(&op)) used_references_.insert(enrich->reference);
      }
      for (const flow::CloseOp& op : pipeline.close_ops) {
        const auto* enrich = std::get_if<flow::EnrichOp>(&op);
        if (enrich == nullptr) continue;
        used_references_.insert(enrich->reference);
        window_time_ = true;
      }
    }
  }

  void Check() {
    const flow::PipelinePlan& root = At(root_);
    if (root.window.allowed_lateness.count() > 0) {
      writer_.Refuse(root.name, "window: allowed_lateness " + FormatDuration(root.window.allowed_lateness) +
                                    " corrects results that are out, and a window of Flink SQL puts out once; write instead: "
                                    "allowed_lateness: 0s with a larger out_of_orderness, or run it on workers (docs/workers.md)");
    }
    if (root.window.size.count() % root.window.every.count() != 0) {
      writer_.Refuse(root.name, "window: a sliding window of Flink SQL is a multiple of its step; write instead: a length that " +
                                    FormatDuration(root.window.every) + " divides");
    }
    for (const std::string& name : TakenNames()) {
      if (dataset_->contract->schema.Find(name) >= 0) {
        writer_.Refuse(root.name, "the field " + name + " of " + dataset_->name +
                                      " has the name of a column that the job adds; write instead: "
                                      "another name in the contract");
      }
    }
  }
  std::vector<std::string> TakenNames() const {
    return {"event_time",       "arrival",     "kafka_partition", "kafka_offset", "kafka_time", "kafka_headers", "is_ahead",    "is_late",
            "watermark_before", "copy_number", "window_time",     "closed_at",    "valid_from", "lookup_time",   "result_rows", "run"};
  }

  bool Sliding() const { return At(root_).window.size != At(root_).window.every; }

  // The end of the last window that a record belongs to, less the millisecond by which Flink's windows end early.
  std::string LastMoment() const {
    const std::string on = Name(dataset_->watermark.on);
    const std::string every = std::to_string(At(root_).window.every.count());
    return "TO_TIMESTAMP_LTZ(" + on + " - MOD(MOD(" + on + ", " + every + ") + " + every + ", " + every + ") + " +
           std::to_string(At(root_).window.size.count() - 1) + ", 3)";
  }

  // What the log says of each record: its place, and whether its partition's watermark had passed its windows when it came.
  void Records(Rows& rows) {
    Select select;
    for (const Field& field : rows.schema.fields) select.Add(Name(field.name));
    for (const char* name : {"event_time", "arrival", "kafka_partition", "kafka_offset"}) select.Add(name);
    if (Sliding()) select.Add("CURRENT_WATERMARK(event_time) AS watermark_before");
    select.Add("COALESCE(CURRENT_WATERMARK(event_time) >= " + LastMoment() + ", FALSE) AS is_late");
    select.from = Name(dataset_->name);
    if (JudgesAhead(*dataset_)) select.where = {"NOT is_ahead"};
    writer_.View(root_name_, "_records",
                 "Late is what comes when the watermark of its own partition has passed its windows; duplicates move it, too.",
                 select.ToString(), rows);
    rows.carried = {"event_time", "arrival", "kafka_partition", "kafka_offset", "is_late"};
    if (Sliding()) rows.carried.emplace_back("watermark_before");
    if (JudgesAhead(*dataset_)) dead_letters_.push_back({dataset_->name, "future", "is_ahead"});
  }

  void Root() {
    const flow::PipelinePlan& root = At(root_);
    const std::vector<Schema> schemas = RowSchemas(root);
    Rows rows;
    rows.schema = root.input;
    Records(rows);
    for (std::size_t i = 0; i < root.row_ops.size(); ++i) {
      const Schema& after = schemas[i + 1];
      if (const auto* where = std::get_if<flow::WhereOp>(&root.row_ops[i])) writer_.Where(root.name, *where, rows);
      if (const auto* dedupe = std::get_if<flow::DedupeOp>(&root.row_ops[i])) {
        writer_.Dedupe(root.name, *dedupe, rows);
        remembered_ = milliseconds(2 * dedupe->within);
      }
      if (const auto* derive = std::get_if<flow::DeriveOp>(&root.row_ops[i])) writer_.Derive(root.name, *derive, after, rows);
      if (const auto* enrich = std::get_if<flow::EnrichOp>(&root.row_ops[i])) writer_.Enrich(root.name, *enrich, after, rows);
    }
    Window(root, rows);
    CloseSteps(root, rows);
    made_.emplace(root_, std::move(rows));
  }

  void Window(const flow::PipelinePlan& root, Rows& rows) {
    std::vector<std::string> used = NamesOf(root.rows, root.group_by);
    const std::vector<std::string> by = used;
    for (const flow::Aggregate& aggregate : root.aggregates) {
      if (aggregate.input >= 0) used.push_back(root.rows.fields[static_cast<std::size_t>(aggregate.input)].name);
    }
    writer_.Need(root.name, used, rows);
    dead_letters_.push_back({rows.relation, "late", "is_late"});
    rows.pending.clear();
    Select on_time;
    on_time.columns = writer_.Columns(rows);
    on_time.from = Name(rows.relation);
    on_time.where = {"NOT is_late"};
    writer_.View(root.name, "_on_time", "", on_time.ToString(), rows);
    Select select;
    const std::string size = Interval(root.window.size);
    const std::string table = "TABLE " + Name(rows.relation) + ", DESCRIPTOR(event_time), ";
    if (Sliding()) {
      select.from = "TABLE(HOP(" + table + Interval(root.window.every) + ", " + size + "))";
      select.where = {"watermark_before IS NULL OR watermark_before < CAST(window_end AS TIMESTAMP_LTZ(3)) - INTERVAL '0.001' SECOND"};
    } else {
      select.from = "TABLE(TUMBLE(" + table + size + "))";
    }
    rows.carried = {"window_start", "window_end"};
    if (window_time_) rows.carried.emplace_back("window_time");
    for (const std::string& name : rows.carried) select.Add(name);
    for (const std::string& name : by) select.Add(Name(name));
    select.group_by = select.columns;
    const Schema& after = root.close_schemas.front();
    for (std::string& column : writer_.AggregateColumns(root.aggregates, root.rows, after)) select.Add(std::move(column));
    writer_.View(root.name, "_counted", Sliding() ? "A record that is late for some of its windows counts in the others." : "",
                 select.ToString(), rows);
    rows.schema = after;
    rows.closed = true;
    rows.window = root.window;
    rows.order = NamesOf(root.shape.schema, root.shape.group);
    rows.order.insert(rows.order.end(), by.begin(), by.end());
  }

  // The pipeline's own columns, in order, under its own name: what all of its sinks read.
  void CloseSteps(const flow::PipelinePlan& pipeline, Rows& rows) {
    for (std::size_t i = 0; i < pipeline.close_ops.size(); ++i) {
      const Schema& after = pipeline.close_schemas[i + 1];
      const flow::CloseOp& step = pipeline.close_ops[i];
      if (const auto* where = std::get_if<flow::WhereOp>(&step)) writer_.Where(pipeline.name, *where, rows);
      if (const auto* derive = std::get_if<flow::DeriveOp>(&step)) writer_.Derive(pipeline.name, *derive, after, rows);
      if (const auto* enrich = std::get_if<flow::EnrichOp>(&step)) writer_.Enrich(pipeline.name, *enrich, after, rows);
      if (const auto* rank = std::get_if<flow::RankOp>(&step)) writer_.Rank(pipeline.name, *rank, after, rows);
      if (const auto* regroup = std::get_if<flow::RegroupOp>(&step)) writer_.Regroup(pipeline.name, *regroup, after, rows);
    }
  }

  void Behind(int index) {
    const flow::PipelinePlan& pipeline = At(index);
    const auto parent = made_.find(pipeline.parent);
    if (parent == made_.end()) return;  // refused
    Rows rows = parent->second;
    CloseSteps(pipeline, rows);
    made_.emplace(index, std::move(rows));
  }

  void Results(int index) {
    const flow::PipelinePlan& pipeline = At(index);
    Rows rows = made_.at(index);
    writer_.JoinAll(pipeline.name, rows);
    Select select;
    select.columns = {"window_start", "window_end"};
    for (const Field& field : pipeline.shape.schema.fields) select.Add(Name(field.name));
    select.from = Name(rows.relation);
    writer_.View(pipeline.name, "", "", select.ToString(), rows);
    const auto add = [&](Sink sink) {
      sinks_.push_back(std::move(sink.table));
      inserts_.push_back(std::move(sink.insert));
    };
    if (settings_.results_home) add(ResultsSink(pipeline, settings_));
    if (settings_.sinks.upsert_kafka) add(UpsertSink(pipeline, settings_));
    if (!settings_.sinks.files.empty()) add(FilesSink(pipeline, settings_));
    if (!settings_.sinks.jdbc.empty()) add(JdbcSink(pipeline, settings_));
  }

  void AddHead(Job& job) const {
    const flow::PipelinePlan& root = At(root_);
    job.head = {
        "The final rows are those of sightline's own engine. What differs is when they come, and this:",
        "- No early results: a window is put out once, when it is final, and seen after the next checkpoint (" +
            FormatDuration(settings_.checkpoint_interval) + ").",
        "- No corrections: allowed_lateness above 0s is refused, and dead letters that are offered again count as records that come now.",
        "- A window is final when all partitions have passed it: one that gets no records holds back every window. Ticks of idle "
        "partitions "
        "(idle_after" +
            (dataset_->watermark.idle_after.count() > 0 ? " " + FormatDuration(dataset_->watermark.idle_after) : std::string()) +
            ") do not move its watermark here.",
        "- Each of the source's tasks reads one partition: scan.parallelism must stay the number of partitions (" +
            std::to_string(dataset_->partitions) + "), or a watermark is that of several and records are late otherwise."};
    if (remembered_.count() > 0) {
      job.head.push_back(
          "- State is kept for " + FormatDuration(remembered_) +
          " by the wall clock, twice the dedupe's `within`, which goes by event time elsewhere: in a replay that runs faster than "
          "time ids are remembered longer, and a record behind the horizon is not late for that alone.");
    }
    for (const std::string& name : used_references_) {
      const auto source = settings_.references.find(name);
      if (source == settings_.references.end()) continue;
      static constexpr std::string_view kFrom[] = {"as they are when the job starts", "as they are when the job is submitted",
                                                   "as they are when a row is looked up"};
      job.head.push_back("- Names from " + name + " are attached " + std::string(kFrom[static_cast<std::size_t>(source->second.kind)]) +
                         ".");
    }
    job.head.emplace_back("- Events are read as JSON: one that is stored as Protobuf ends the job with an error.");
    job.head.emplace_back("- Times are UTC: 'table.local-time-zone' must stay as it is.");
    for (const flow::Aggregate& aggregate : root.aggregates) {
      const bool sums = aggregate.kind == flow::AggregateKind::kSum || aggregate.kind == flow::AggregateKind::kAvg;
      if (!sums || aggregate.input_type != FieldType::kDouble) continue;
      job.head.push_back("- Doubles (" + aggregate.name +
                         ") are added in the order in which they come, which may differ in the last digits.");
    }
  }

  static Statement Setting(const std::string& name, const std::string& value) {
    return {Statement::Kind::kSetting, name, "", "SET " + Text(name) + " = " + Text(value)};
  }

  Job Finish(const std::vector<std::string>& names) {
    Job job;
    job.name = settings_.kafka.prefix + "sightline." + root_name_;
    job.pipelines = names;
    job.parallelism = dataset_->partitions;
    AddHead(job);
    job.statements = {
        Setting("pipeline.name", job.name),
        Setting("execution.runtime-mode", "streaming"),
        Setting("table.local-time-zone", "UTC"),
        Setting("parallelism.default", std::to_string(dataset_->partitions)),
        Setting("execution.checkpointing.interval", FormatSetting(settings_.checkpoint_interval)),
        Setting("execution.checkpointing.mode", "EXACTLY_ONCE"),
        Setting("pipeline.object-reuse", "true"),
        Setting("table.exec.state.ttl", FormatSetting(remembered_)),
        Setting("table.exec.source.idle-timeout", "0 ms"),
    };
    job.statements.push_back(SourceTable(*dataset_, root_name_, settings_));
    for (const flow::ReferencePlan& reference : plan_.references) {
      const auto source = settings_.references.find(reference.name);
      if (used_references_.contains(reference.name) && source != settings_.references.end()) {
        job.statements.push_back(ReferenceTable(reference, source->second, settings_));
      }
    }
    for (Statement& view : views_) job.statements.push_back(std::move(view));
    if (settings_.results_home) {
      Sink sink = LateSink(root_name_, dead_letters_, settings_);
      sinks_.insert(sinks_.begin(), std::move(sink.table));
      inserts_.insert(inserts_.begin(), std::move(sink.insert));
    }
    for (Statement& sink : sinks_) job.statements.push_back(std::move(sink));
    for (Statement& insert : inserts_) job.statements.push_back(std::move(insert));
    return job;
  }

  static std::string FormatSetting(milliseconds duration) { return std::to_string(duration.count()) + " ms"; }

  const flow::Plan& plan_;
  const JobSettings& settings_;
  std::vector<Statement> views_;
  std::vector<std::string> refusals_;
  RowsWriter writer_;
  std::set<int> needed_;  // ascending: each stands after the one it reads from
  int root_ = -1;
  std::string root_name_;
  const flow::DatasetPlan* dataset_ = nullptr;
  std::set<std::string> used_references_;
  bool window_time_ = false;
  milliseconds remembered_{0};
  std::map<int, Rows> made_;
  std::vector<DeadLetters> dead_letters_;
  std::vector<Statement> inserts_, sinks_;
};

std::string Block(const std::string& text) {
  std::string out;
  std::string line;
  for (const std::string_view word : Split(text, ' ')) {
    if (!line.empty() && line.size() + word.size() + 1 > 116) {
      out += "-- " + line + "\n";
      line = text.starts_with("- ") ? " " : "";
    }
    line += (line.empty() ? "" : " ") + std::string(word);
  }
  return out + "-- " + line + "\n";
}

}  // namespace

std::expected<Job, std::vector<std::string>> CompileJob(const flow::Plan& plan, const std::vector<std::string>& pipelines,
                                                        const JobSettings& settings) {
  return Compiler(plan, settings).Run(pipelines);
}

std::string JobText(const Job& job) {
  std::string out;
  for (const std::string& line : job.head) out += Block(line);
  const auto inserts = std::ranges::count(job.statements, Statement::Kind::kInsert, &Statement::kind);
  bool begun = false;
  Statement::Kind before = Statement::Kind::kView;
  for (const Statement& statement : job.statements) {
    if (statement.kind != before || statement.kind != Statement::Kind::kSetting) out += "\n";
    before = statement.kind;
    if (!statement.comment.empty()) out += Block(statement.comment);
    if (statement.kind == Statement::Kind::kInsert && inserts > 1 && !begun) {
      out += "EXECUTE STATEMENT SET\nBEGIN\n";
      begun = true;
    }
    out += statement.sql + ";\n";
  }
  return out + (begun ? "END;\n" : "");
}

}  // namespace sightline::flink
