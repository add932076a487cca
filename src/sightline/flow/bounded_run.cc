#include "sightline/flow/bounded_run.h"

#include <map>

#include "sightline/base/text.h"
#include "sightline/flow/commits/embedded/journal_commits.h"
#include "sightline/flow/line_stages.h"
#include "sightline/flow/merge_processor.h"

namespace sightline::flow {
namespace {

// The pipeline whose results topic is read at the end: the pipeline itself, or, when it runs over all partitions, the one whose
// results it adds up (there is one partition here, so that its windows are whole).
struct Target {
  int pipeline = -1;
  int root = -1;           // of the dataset
  int read = -1;           // whose results topic is read
  std::vector<int> above;  // steps to run over the windows read, in order
};

Result<Target> FindTarget(const Plan& plan, const std::string& name) {
  Target target;
  target.pipeline = plan.Find(name);
  if (target.pipeline < 0) {
    std::vector<std::string_view> names;
    for (const PipelinePlan& pipeline : plan.pipelines) names.push_back(pipeline.name);
    const std::string_view near = DidYouMean(name, names);
    return Fail(ErrorKind::kNotFound, "there is no pipeline " + name + (near.empty() ? "" : "; did you mean " + std::string(near) + "?"));
  }
  int at = target.pipeline;
  while (plan.pipelines[static_cast<std::size_t>(plan.pipelines[static_cast<std::size_t>(at)].root)].kind == PipelineKind::kMerge) {
    target.above.insert(target.above.begin(), at);
    at = plan.pipelines[static_cast<std::size_t>(at)].parent;
  }
  target.read = at;
  target.root = plan.pipelines[static_cast<std::size_t>(at)].root;
  return target;
}

// Groups of one window as they come from the results topic.
class WindowRows {
 public:
  explicit WindowRows(const ResultShape& shape) : shape_(shape) {}
  void Add(std::string_view record) { groups_.emplace_back(record); }
  // A later revision replaces a group.
  Status AddOrReplace(std::string_view record) {
    ResultRecord decoded;
    SL_TRY(DecodeResult(record, shape_.schema, decoded));
    const auto [at, added] = numbers_.try_emplace(GroupKey(shape_, decoded.rows, 0), groups_.size());
    if (added) {
      Add(record);
    } else {
      groups_[at->second] = std::string(record);
    }
    return {};
  }
  const std::vector<std::string>& groups() const { return groups_; }

 private:
  const ResultShape& shape_;
  std::map<std::string, std::size_t> numbers_;
  std::vector<std::string> groups_;
};

// Hands the results topic to the sink, window by window.
class ResultsReader {
 public:
  ResultsReader(const Plan& plan, const Target& target, const ActiveReferences& references, const RowSink& sink)
      : plan_(plan), target_(target), references_(references), sink_(sink), shape_(At(target.read).shape) {}

  Result<std::uint64_t> Run(bus::Bus& bus) {
    SL_ASSIGN_OR_RETURN(const std::unique_ptr<bus::Reader> reader,
                        bus.OpenReader({Plan::ResultsTopic(At(target_.read).name), Partition(0)}, Offset(0)));
    for (;;) {
      SL_ASSIGN_OR_RETURN(const std::optional<bus::Batch> batch, reader->Next());
      if (!batch) break;
      for (std::string_view value : batch->values) {
        SL_ASSIGN_OR_RETURN(const ResultMark mark, DecodeResultMark(value));
        if (!mark.closed) SL_TRY(Take(value, mark.header));
      }
    }
    SL_TRY(EmitAll());
    return rows_;
  }

 private:
  const PipelinePlan& At(int i) const { return plan_.pipelines[static_cast<std::size_t>(i)]; }
  Status Take(std::string_view value, const ResultHeader& header) {
    // Without allowed lateness a window is written once and in order: it can go out as soon as the next begins.
    const bool may_change = At(target_.root).window.allowed_lateness.count() > 0;
    const std::int64_t start = header.window_start.value;
    if (!may_change && !windows_.empty() && windows_.begin()->first != start) SL_TRY(EmitAll());
    auto [at, added] = windows_.try_emplace(start, shape_);
    headers_[start] = header;
    if (may_change) return at->second.AddOrReplace(value);
    at->second.Add(value);
    return {};
  }
  Status EmitAll() {
    for (const auto& [start, window] : windows_) {
      ColumnBatch rows;
      std::vector<ResultRecord> records(window.groups().size());
      for (std::size_t i = 0; i < records.size(); ++i) {
        SL_TRY(DecodeResult(window.groups()[i], shape_.schema, records[i]));
        AppendRows(records[i].rows, rows);
      }
      if (rows.columns.empty()) continue;
      const ResultShape* shape = &shape_;
      for (int above : target_.above) {
        ApplyCloseSteps(At(above), references_, rows);
        shape = &At(above).shape;
      }
      rows_ += rows.rows;
      SL_TRY(sink_(headers_[start], *shape, rows));
    }
    windows_.clear();
    headers_.clear();
    return {};
  }

  const Plan& plan_;
  const Target& target_;
  const ActiveReferences& references_;
  const RowSink& sink_;
  const ResultShape& shape_;
  std::map<std::int64_t, WindowRows> windows_;
  std::map<std::int64_t, ResultHeader> headers_;
  std::uint64_t rows_ = 0;
};

// A scratch directory begins empty: no earlier version is ever asked for.
Result<ReferenceHandle> NoVersions(const std::string& name, std::uint64_t) {
  return Fail(ErrorKind::kNotFound, "no kept version of " + name);
}

bus::TopicSpec OwnedTopic(std::string name) {
  bus::TopicSpec spec;
  spec.name = std::move(name);
  spec.owned = true;
  spec.segment_bytes = 64ULL << 20;
  return spec;
}

class Run {
 public:
  Run(runtime::Runtime runtime, bus::Bus& bus, const Plan& plan, const ReferenceCatalog& references, const BoundedRun& run, Target target)
      : runtime_(runtime), bus_(bus), plan_(plan), references_(references), run_(run), target_(std::move(target)) {}

  Result<BoundedReport> Go(const RowSink& sink) {
    const PipelinePlan& root = plan_.pipelines[static_cast<std::size_t>(target_.root)];
    const PipelinePlan& read = plan_.pipelines[static_cast<std::size_t>(target_.read)];
    SL_TRY(bus_.EnsureTopic(OwnedTopic(Plan::ResultsTopic(read.name))));
    SL_TRY(bus_.EnsureTopic(OwnedTopic(Plan::DeadLetterTopic(root.name))));
    CommittedPartition::Settings settings;
    settings.only = read.name;
    JournalCommitLogs logs(runtime_, bus_, run_.scratch + "/flow");
    SL_ASSIGN_OR_RETURN(partition_, CommittedPartition::Open(logs, plan_, target_.root, settings, {0}, NoVersions, [&](std::uint64_t seed) {
                          auto made = std::make_unique<Processor>(
                              plan_, target_.root,
                              Processor::Options{.seed = seed, .live = nullptr, .only = read.name, .memory = run_.memory});
                          processor_ = made.get();
                          return made;
                        }));
    for (const ReferencePlan& reference : plan_.references) {
      if (ReferenceHandle table = references_.Newest(reference.name)) SL_TRY(partition_->Activate(table));
    }
    SL_TRY(Feed(*plan_.FindDataset(root.from)));
    BoundedReport report;
    report.events = events_;
    report.counters = processor_->counters();
    ResultsReader reader(plan_, target_, partition_->processor().references(), sink);
    SL_ASSIGN_OR_RETURN(report.results, reader.Run(bus_));
    return report;
  }

 private:
  Status Feed(const DatasetPlan& dataset) {
    SL_ASSIGN_OR_RETURN(const std::unique_ptr<runtime::File> file, runtime_.files.Open(run_.input_path, runtime::OpenMode::kRead));
    SL_ASSIGN_OR_RETURN(const std::uint64_t size, file->Size());
    std::string_view text;
    if (size > 0) {
      SL_ASSIGN_OR_RETURN(text, file->Map(size));
    }
    std::int64_t last_commit = runtime_.clock.MonotonicNs();
    std::int64_t judged = 0;    // records
    std::size_t position = 0;   // bytes counted
    LineStages::Stages stages;
    stages.judge = [&](LineStages::Piece& piece, bool ahead) {
      const Input input{.decoded = &piece.decoded,
                        .topic = dataset.name,
                        .partition = Partition(0),
                        .base = Offset(judged),
                        .append_time = std::nullopt,
                        .encoding = RecordEncoding::kJson};
      if (!processor_->Judge(input, piece.judged, ahead)) return false;
      judged += piece.decoded.seen;
      return true;
    };
    stages.count = [&](LineStages::Piece& piece) {
      processor_->Count(piece.judged);
      events_ += piece.decoded.seen;
      position = piece.end;
      return partition_->Advance(0, static_cast<std::int64_t>(position));
    };
    stages.due = [&] { return runtime_.clock.MonotonicNs() - last_commit >= std::chrono::nanoseconds(run_.checkpoint_interval).count(); };
    stages.settle = [&] {
      last_commit = runtime_.clock.MonotonicNs();
      if (run_.progress) run_.progress(position, size);
      return partition_->TakeSnapshot();
    };
    SL_TRY(LineStages(*dataset.contract, run_.limits, text, run_.piece_bytes, run_.threads).Run(stages));
    processor_->Finish();
    SL_TRY(partition_->Advance(0, static_cast<std::int64_t>(size)));
    if (run_.progress) run_.progress(size, size);
    return partition_->TakeSnapshot();
  }

  runtime::Runtime runtime_;
  bus::Bus& bus_;
  const Plan& plan_;
  const ReferenceCatalog& references_;
  const BoundedRun& run_;
  Target target_;
  std::unique_ptr<CommittedPartition> partition_;
  Processor* processor_ = nullptr;  // the partition's
  std::uint64_t events_ = 0;
};

}  // namespace

Result<BoundedReport> RunBounded(runtime::Runtime runtime, bus::Bus& bus, const Plan& plan, const ReferenceCatalog& references,
                                 const BoundedRun& run, const RowSink& sink) {
  SL_ASSIGN_OR_RETURN(Target target, FindTarget(plan, run.pipeline));
  return Run(runtime, bus, plan, references, run, std::move(target)).Go(sink);
}

}  // namespace sightline::flow
