#include "connectors/flink/home_task.h"

#include <map>
#include <mutex>

#include "connectors/flink/job.h"
#include "connectors/flink/result_messages.h"
#include "sightline/base/bytes.h"
#include "sightline/flow/commits/port.h"
#include "sightline/model/dead_letter.h"

namespace sightline::flink {
namespace {

constexpr std::int64_t kStatusIntervalNs = 200'000'000;

class HomeTask final : public flow::Task {
 public:
  HomeTask(const flow::TaskContext& context, int pipeline, Partition partition)
      : context_(context),
        plan_(context.plan.pipelines[static_cast<std::size_t>(pipeline)]),
        partition_(partition),
        inputs_{{RowsTopic(plan_.name), partition}},
        topics_{flow::Plan::ResultsTopic(plan_.name)},
        messages_(context.plan, plan_) {
    if (plan_.parent >= 0) return;
    dataset_ = context.plan.FindDataset(plan_.from);
    inputs_.push_back({LateTopic(plan_.name), partition});
    topics_.push_back(flow::Plan::DeadLetterTopic(plan_.name));
  }

  Status Open() {
    if (context_.commits == nullptr) {
      return Fail(ErrorKind::kFailedPrecondition,
                  plan_.name + " runs on Flink, whose results come by Kafka: drivers.bus is the embedded log");
    }
    SL_ASSIGN_OR_RETURN(log_, context_.commits->Open({.pipeline = plan_.name + ".home",
                                                      .partition = partition_,
                                                      .inputs = inputs_,
                                                      .topics = topics_,
                                                      .fingerprint = plan_.fingerprint,
                                                      .shares_topics = true}));
    const std::optional<flow::Recovered> recovered = log_->TakeRecovered();
    point_.outputs.assign(topics_.size(), 0);
    if (recovered) {
      point_ = recovered->last;
    } else {
      for (const TopicPartition& input : inputs_) {
        SL_ASSIGN_OR_RETURN(const bus::TopicInfo info, context_.bus.Describe(input.topic));
        point_.inputs.push_back(info.partitions.at(static_cast<std::size_t>(input.partition.value)).start.value);
      }
    }
    // A state of no bytes: what was read to is all that is remembered.
    if (!recovered || recovered->other_plan) SL_TRY(Snapshot());
    for (std::size_t i = 0; i < inputs_.size(); ++i) {
      SL_ASSIGN_OR_RETURN(readers_.emplace_back(), context_.bus.OpenReader(inputs_[i], Offset(point_.inputs[i])));
    }
    KeepStatus();
    return {};
  }

  Result<bool> Step() override {
    bool more = false;
    for (std::size_t i = 0; i < readers_.size(); ++i) {
      SL_ASSIGN_OR_RETURN(const std::optional<bus::Batch> batch, readers_[i]->Next());
      if (!batch) continue;
      SL_TRY(i == 0 ? TakeResults(*batch) : TakeLate(*batch));
      point_.inputs[i] = batch->end().value;
      uncommitted_ = more = true;
    }
    const std::int64_t now = context_.runtime.clock.MonotonicNs();
    if (uncommitted_ && (!more || now - last_commit_ >= std::chrono::nanoseconds(context_.policy.interval).count())) SL_TRY(Commit(now));
    if (!more || now - last_status_ > kStatusIntervalNs) KeepStatus();
    return more;
  }

  Status Finish() override { return uncommitted_ ? Commit(context_.runtime.clock.MonotonicNs()) : Status(); }
  const std::vector<TopicPartition>& inputs() const override { return inputs_; }
  flow::TaskStatus status() const override {
    const std::lock_guard lock(status_mutex_);
    return status_;
  }

 private:
  Status TakeResults(const bus::Batch& batch) {
    std::vector<std::string> records(batch.values.size());
    std::vector<std::string_view> values;
    for (std::size_t i = 0; i < batch.values.size(); ++i) {
      Result<std::size_t> rows = messages_.Encode(batch.values[i], records[i]);
      if (!rows)
        return std::unexpected(
            std::move(rows.error())
                .In(inputs_[0].topic + "/" + std::to_string(partition_.value) + " at " + std::to_string(batch.offset(i).value)));
      rows_ += *rows;
      values.emplace_back(records[i]);
    }
    point_.outputs[0] += static_cast<std::int64_t>(values.size());
    return log_->Append(0, values);
  }

  // The original lies where Flink read it, unless retention has taken it since.
  Status TakeLate(const bus::Batch& batch) {
    std::vector<std::string> records(batch.values.size());
    std::vector<std::string_view> values;
    for (std::size_t i = 0; i < batch.values.size(); ++i) {
      SL_ASSIGN_OR_RETURN(const LateMessage late, ParseLateMessage(batch.values[i]));
      DeadLetter letter;
      letter.reason = late.reason;
      letter.origin = DeadLetterOrigin::kTopic;
      letter.topic = dataset_->topic;
      letter.partition = late.partition;
      letter.offset = late.offset;
      letter.field = dataset_->watermark.on;
      letter.cause = late.reason == Verdict::kLate ? "its windows were closed when it came, as Flink saw it"
                                                   : "its event time lies too far ahead of the log's clock";
      const Result<std::optional<bus::Batch>> original = Original(late);
      if (original && *original && (*original)->offset(0) == late.offset) {
        letter.received = WallTime((*original)->time(0).value);
        letter.encoding = static_cast<RecordEncoding>((*original)->encoding);
        letter.original = (*original)->values[0].substr(0, kDeadLetterOriginalMax);
        letter.original_size = (*original)->values[0].size();
      } else if (!original && original.error().kind != ErrorKind::kOutOfRange) {
        return std::unexpected(original.error());
      }
      EncodeDeadLetter(letter, records[i]);
      values.emplace_back(records[i]);
      ++counters_.verdicts[static_cast<std::size_t>(late.reason)];
    }
    point_.outputs[1] += static_cast<std::int64_t>(values.size());
    return log_->Append(1, values);
  }

  Result<std::optional<bus::Batch>> Original(const LateMessage& late) {
    std::unique_ptr<bus::Reader>& reader = originals_[late.partition.value];
    if (reader == nullptr) {
      SL_ASSIGN_OR_RETURN(reader, context_.bus.OpenReader({dataset_->topic, late.partition}, late.offset));
    } else {
      SL_TRY(reader->Seek(late.offset, std::nullopt));
    }
    return reader->Next();
  }

  Status Snapshot() {
    flow::Snapshot snapshot;
    snapshot.point = snapshot.origin = point_;
    snapshot.topics = topics_;
    ByteWriter(snapshot.state).Put(std::uint64_t{0});
    return log_->TakeSnapshot(snapshot, {}, kWatermarkNone.value);
  }

  Status Commit(std::int64_t now) {
    SL_TRY(log_->Commit(point_));
    uncommitted_ = false;
    last_commit_ = now;
    return {};
  }

  void KeepStatus() {
    last_status_ = context_.runtime.clock.MonotonicNs();
    flow::TaskStatus status;
    status.pipeline = plan_.name;
    status.partition = partition_.value;
    status.counters = counters_;
    status.member_names = {plan_.name};
    status.members.resize(1);
    status.members[0].rows_out = rows_;
    status.positions = point_.inputs;
    status.origin = {.inputs = point_.inputs, .outputs = {}};
    status.watermark = messages_.newest().value;
    status.commits = log_->commits();
    status.restore_ms = 0;
    status.merge = plan_.parent >= 0;
    const std::lock_guard lock(status_mutex_);
    status_ = std::move(status);
  }

  const flow::TaskContext& context_;
  const flow::PipelinePlan& plan_;
  const Partition partition_;
  const flow::DatasetPlan* dataset_ = nullptr;
  std::vector<TopicPartition> inputs_;
  std::vector<std::string> topics_;
  ResultMessages messages_;
  std::unique_ptr<flow::CommitLog> log_;
  std::vector<std::unique_ptr<bus::Reader>> readers_;
  std::map<std::int32_t, std::unique_ptr<bus::Reader>> originals_;  // of the dataset's partitions
  flow::CommitPoint point_;
  flow::Counters counters_;
  std::uint64_t rows_ = 0;
  bool uncommitted_ = false;
  std::int64_t last_commit_ = 0, last_status_ = 0;
  mutable std::mutex status_mutex_;
  flow::TaskStatus status_;
};

}  // namespace

Result<std::unique_ptr<flow::Task>> OpenHomeTask(const flow::TaskContext& context, int pipeline, Partition partition) {
  auto task = std::make_unique<HomeTask>(context, pipeline, partition);
  SL_TRY(task->Open());
  return task;
}

}  // namespace sightline::flink
