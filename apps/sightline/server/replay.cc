#include "apps/sightline/server/replay.h"

#include <algorithm>
#include <set>
#include <tuple>

#include "apps/sightline/plan_input.h"
#include "sightline/gate/decoder.h"
#include "sightline/model/dead_letter.h"
#include "sightline/model/partitioner.h"
#include "sightline/model/replay.h"

namespace sightline::app {
namespace {

// Records of a batch share one reading of the log, so that batches are as large as is sound.
constexpr std::size_t kBatchRecords = 20'000;
constexpr std::size_t kBatchBytes = 8U << 20;
constexpr std::size_t kRefusalsShown = 20;
constexpr auto kPatience = std::chrono::seconds(60);
constexpr auto kLook = std::chrono::milliseconds(20);

// One request's work.
class Run {
 public:
  Run(DataPlane& plane, const config::Config& config, const flow::Plan& plan, const flow::PipelinePlan& root,
      const serve::ReplayRequest& request)
      : plane_(plane),
        root_(root),
        request_(request),
        dataset_(*plan.FindDataset(root.from)),
        decoder_(*dataset_.contract, DecoderLimitsOf(config.limits.ingest)) {
    for (const flow::TaskStatus& task : plane.tasks()) {
      if (task.pipeline == root.name && task.taken != nullptr) taken_.push_back(task.taken);
    }
    for (const serve::ReplayRequest::Letter& letter : request.letters) wanted_.insert({letter.from, letter.offset});
  }

  Result<serve::ReplayAnswer> Go(const runtime::Clock& clock) {
    for (const std::string& topic : {flow::Plan::DeadLetterTopic(root_.name), DeadLetterTopic(dataset_.name)}) SL_TRY(Offer(topic));
    for (auto& [key, pending] : pending_) SL_TRY(Flush(key, pending));
    for (const auto& [from, offset] : wanted_) Refuse(from, offset, "there is no such dead letter of this pipeline");
    Wait(clock);
    return std::move(answer_);
  }

 private:
  // Batches are of one partition, one encoding, and all late or not.
  using Key = std::tuple<std::int32_t, RecordEncoding, bool>;
  struct Pending {
    std::vector<std::string> values;
    std::vector<std::string> keys;
    std::size_t bytes = 0;
  };

  Status Offer(const std::string& topic) {
    Result<bus::TopicInfo> info = plane_.bus().Describe(topic);
    if (!info && info.error().kind == ErrorKind::kNotFound) return {};  // nothing was ever refused
    SL_TRY(info);
    for (std::size_t p = 0; p < info->partitions.size(); ++p) {
      const TopicPartition from{topic, Partition(static_cast<std::int32_t>(p))};
      const Offset end = info->partitions[p].visible;
      SL_ASSIGN_OR_RETURN(const std::unique_ptr<bus::Reader> reader, plane_.bus().OpenReader(from, info->partitions[p].start));
      // Not beyond what there was at the beginning: a record that is late again is not offered once more.
      while (reader->position() < end) {
        SL_ASSIGN_OR_RETURN(const std::optional<bus::Batch> batch, reader->Next());
        if (!batch) break;
        for (std::size_t i = 0; i < batch->values.size(); ++i) {
          const Offset at = batch->offset(i);
          if (at >= end) break;
          SL_ASSIGN_OR_RETURN(const DeadLetter letter, DecodeDeadLetter(batch->values[i]));
          if (Wanted(from, at, letter.reason)) SL_TRY(Take(from, at, letter));
        }
      }
    }
    return {};
  }

  bool Wanted(const TopicPartition& from, Offset at, Verdict reason) {
    if (!request_.letters.empty()) return wanted_.erase({from, at}) > 0;
    if (!request_.reasons.empty()) return std::find(request_.reasons.begin(), request_.reasons.end(), reason) != request_.reasons.end();
    return true;
  }

  Status Take(const TopicPartition& from, Offset at, const DeadLetter& letter) {
    if (std::any_of(taken_.begin(), taken_.end(), [&](const auto& set) { return set->Contains(from, at); })) {
      ++answer_.already;
      return {};
    }
    if (letter.shortened()) return Refuse(from, at, "only the beginning of the original was kept, since it was larger than 1 MiB");
    if (letter.encoding == RecordEncoding::kBinary) {
      return Refuse(from, at,
                    letter.origin == DeadLetterOrigin::kTopic && from.topic == DeadLetterTopic(dataset_.name)
                        ? "the original is framed for a schema registry; its producer has to send it again"
                        : "the original is no event");
    }
    SL_ASSIGN_OR_RETURN(const std::optional<Partition> partition, PartitionOf(from, at, letter));
    if (!partition) return {};
    const Key key{partition->value, letter.encoding, letter.reason == Verdict::kLate};
    Pending& pending = pending_[key];
    std::string replay_key;
    EncodeReplayKey({.pipeline = root_.name,
                     .reason = letter.reason,
                     .origin = letter.origin,
                     .topic = from.topic,
                     .partition = from.partition,
                     .offset = at,
                     .received = letter.received},
                    replay_key);
    pending.bytes += letter.original.size() + replay_key.size();
    pending.values.emplace_back(letter.original);
    pending.keys.push_back(std::move(replay_key));
    if (pending.values.size() < kBatchRecords && pending.bytes < kBatchBytes) return {};
    return Flush(key, pending);
  }

  // Where the record belongs; nothing where it is still refused.
  Result<std::optional<Partition>> PartitionOf(const TopicPartition& from, Offset at, const DeadLetter& letter) {
    const std::vector<std::string_view> one = {letter.original};
    decoder_.DecodeRecords(static_cast<bus::Encoding>(letter.encoding), one, decoded_);
    if (decoded_.rows.rows != 1) {
      const std::string cause = decoded_.rejects.empty() ? "it holds no record" : decoded_.rejects.front().cause;
      Refuse(from, at,
             "it is still " + std::string(decoded_.rejects.empty() ? "malformed" : VerdictName(decoded_.rejects.front().verdict)) + ": " +
                 cause);
      return std::optional<Partition>();
    }
    // What a pipeline refused stays in its partition. What ingest or a gate refused was in none of the topic's yet.
    if (letter.origin == DeadLetterOrigin::kTopic && from.topic != DeadLetterTopic(dataset_.name))
      return std::optional<Partition>(letter.partition);
    const Partitioner partitioner(dataset_.partitions);
    return std::optional<Partition>(partitioner.Of(decoded_.rows.columns[static_cast<std::size_t>(dataset_.partition_by)], 0));
  }

  Status Refuse(const TopicPartition& from, Offset at, const std::string& why) {
    ++answer_.refused;
    if (answer_.refusals.size() < kRefusalsShown) {
      answer_.refusals.push_back(from.topic + "/" + std::to_string(from.partition.value) + "/" + std::to_string(at.value) + ": " + why);
    }
    return {};
  }

  Status Flush(const Key& key, Pending& pending) {
    if (pending.values.empty()) return {};
    const TopicPartition to{dataset_.topic, Partition(std::get<0>(key))};
    const std::vector<std::string_view> values(pending.values.begin(), pending.values.end());
    const std::vector<std::string_view> keys(pending.keys.begin(), pending.keys.end());
    bus::AppendBatch batch;
    batch.type = bus::BatchType::kReplay;
    batch.encoding = static_cast<bus::Encoding>(std::get<1>(key));
    batch.values = values;
    batch.keys = keys;
    SL_ASSIGN_OR_RETURN(const bus::Appended appended, bus::AppendAndWait(plane_.bus(), to, batch));
    std::int64_t& end = ends_[to.partition.value];
    end = std::max(end, appended.base.value + appended.count);
    answer_.replayed += appended.count;
    pending = {};
    return {};
  }

  // Until the pipeline has read what was appended; it goes on by itself where that takes long.
  void Wait(const runtime::Clock& clock) const {
    const std::int64_t until = clock.MonotonicNs() + std::chrono::nanoseconds(kPatience).count();
    const auto behind = [&](const flow::TaskStatus& task) {
      const auto end = ends_.find(task.partition);
      return task.pipeline == root_.name && end != ends_.end() && !task.positions.empty() && task.positions[0] < end->second;
    };
    while (clock.MonotonicNs() < until) {
      const std::vector<flow::TaskStatus> tasks = plane_.tasks();
      if (std::none_of(tasks.begin(), tasks.end(), behind)) return;
      std::this_thread::sleep_for(kLook);
    }
  }

  DataPlane& plane_;
  const flow::PipelinePlan& root_;
  const serve::ReplayRequest& request_;
  const flow::DatasetPlan& dataset_;
  gate::Decoder decoder_;
  gate::Decoded decoded_;
  std::vector<std::shared_ptr<const flow::OffsetSet>> taken_;
  std::set<std::pair<TopicPartition, Offset>> wanted_;
  std::map<Key, Pending> pending_;
  std::map<std::int32_t, std::int64_t> ends_;
  serve::ReplayAnswer answer_;
};

}  // namespace

Result<serve::ReplayAnswer> Replayer::Replay(const serve::ReplayRequest& request) {
  const int pipeline = plan_.Find(request.pipeline);
  if (pipeline < 0) return Fail(ErrorKind::kNotFound, "there is no pipeline " + request.pipeline);
  const flow::PipelinePlan& plan = plan_.pipelines[static_cast<std::size_t>(pipeline)];
  const flow::PipelinePlan& root = plan_.pipelines[static_cast<std::size_t>(plan.root)];
  if (root.kind != flow::PipelineKind::kRoot) {
    return Fail(ErrorKind::kInvalidArgument,
                request.pipeline + " reads the results of " + root.from + ": replay the dead letters of " + root.from + ", and it follows");
  }
  const std::lock_guard lock(mutex_);
  return Run(plane_, config_, plan_, root, request).Go(clock_);
}

}  // namespace sightline::app
