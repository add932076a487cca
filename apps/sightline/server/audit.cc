#include "apps/sightline/server/audit.h"

#include <thread>

#include <nlohmann/json.hpp>

#include "sightline/flow/offset_set.h"
#include "sightline/model/dead_letter.h"
#include "sightline/model/replay.h"
#include "sightline/model/result.h"

namespace sightline::app {
namespace {

constexpr int kAttempts = 20;
constexpr auto kBetweenAttempts = std::chrono::milliseconds(250);

using Verdicts = std::array<std::uint64_t, kVerdicts>;

struct Counted {
  std::uint64_t records = 0;
  std::uint64_t gone = 0;
  Verdicts replayed{};  // dead letters that were offered to the pipeline again, each once, by the verdict they had
};

// Data records of a partition from `origin` to `end`, as far as retention has left them, and what was replayed there.
Result<Counted> CountRecords(bus::Bus& bus, const std::string& pipeline, const TopicPartition& partition, Offset origin, Offset start,
                             Offset end) {
  flow::OffsetSet taken;
  Counted counted;
  counted.gone = static_cast<std::uint64_t>(std::max<std::int64_t>(0, start.value - origin.value));
  SL_ASSIGN_OR_RETURN(const std::unique_ptr<bus::Reader> reader, bus.OpenReader(partition, std::max(origin, start)));
  while (reader->position() < end) {
    SL_ASSIGN_OR_RETURN(const std::optional<bus::Batch> batch, reader->Next());
    if (!batch) break;
    const std::size_t last = batch->CountBefore(end);
    if (batch->type == bus::BatchType::kData) counted.records += last;
    if (batch->type != bus::BatchType::kReplay) continue;
    for (std::size_t i = 0; i < last; ++i) {
      SL_ASSIGN_OR_RETURN(const ReplayKey key, DecodeReplayKey(batch->keys[i]));
      if (key.pipeline != pipeline || !taken.Insert({std::string(key.topic), key.partition}, key.offset)) continue;
      ++counted.replayed[static_cast<std::size_t>(key.reason)];
    }
  }
  return counted;
}

// First offsets of partitions; 0 where nothing is said.
using Origins = std::map<std::int32_t, std::int64_t>;

// Calls `take` with every record of a topic that readers see, from where the pipeline's generation began.
Status ForEach(const AuditSource& source, const std::string& topic, const Origins& origins,
               const std::function<Status(std::string_view)>& take) {
  SL_ASSIGN_OR_RETURN(const bus::TopicInfo info, source.bus.Describe(topic));
  for (std::size_t p = 0; p < info.partitions.size(); ++p) {
    const Partition partition(static_cast<std::int32_t>(p));
    const auto origin = origins.find(partition.value);
    const std::int64_t before = origin == origins.end() ? 0 : origin->second;
    const bool dense = source.offsets == AuditSource::Offsets::kDense;
    const Offset from = dense ? std::max(info.partitions[p].start, Offset(before)) : info.partitions[p].start;
    std::int64_t skip = dense ? 0 : before;
    SL_ASSIGN_OR_RETURN(const std::unique_ptr<bus::Reader> reader, source.bus.OpenReader({topic, partition}, from));
    for (;;) {
      SL_ASSIGN_OR_RETURN(const std::optional<bus::Batch> batch, reader->Next());
      if (!batch) break;
      for (std::string_view value : batch->values) {
        if (skip-- <= 0) SL_TRY(take(value));
      }
    }
  }
  return {};
}

Result<Verdicts> CountDeadLetters(const AuditSource& source, const std::string& topic, const Origins& origins) {
  Verdicts counts{};
  const Status read = ForEach(source, topic, origins, [&](std::string_view value) -> Status {
    SL_ASSIGN_OR_RETURN(const DeadLetter letter, DecodeDeadLetter(value));
    ++counts[static_cast<std::size_t>(letter.reason)];
    return {};
  });
  SL_TRY(read);
  return counts;
}

// Of `lost` records, whether they were counted before they were given up is not known.
void Expect(PipelineAudit& audit, const std::string& what, std::uint64_t from_log, std::uint64_t said, std::uint64_t lost = 0) {
  if (from_log <= said && said <= from_log + lost) return;
  audit.differences.push_back(what + ": " + std::to_string(from_log) + " in the log, " + std::to_string(said) + " counted");
}

Result<PipelineAudit> AuditPipeline(const AuditSource& source, const flow::PipelinePlan& pipeline) {
  const flow::DatasetPlan& dataset = *source.plan.FindDataset(pipeline.from);
  PipelineAudit audit;
  audit.pipeline = pipeline.name;
  audit.dataset = dataset.name;
  Verdicts replayed{};
  Origins results_from, letters_from;
  SL_ASSIGN_OR_RETURN(const bus::TopicInfo topic, source.bus.Describe(dataset.topic));
  SL_ASSIGN_OR_RETURN(const std::vector<flow::TaskStatus> tasks, source.tasks());
  for (const flow::TaskStatus& task : tasks) {
    if (task.pipeline != pipeline.name) continue;
    if (!task.error.empty() || task.positions.empty()) {
      audit.differences.push_back("partition " + std::to_string(task.partition) + " does not run: " + task.error);
      continue;
    }
    for (std::size_t v = 0; v < kVerdicts; ++v) {
      audit.counters.verdicts[v] += task.counters.verdicts[v];
      audit.counters.replayed[v] += task.counters.replayed[v];
    }
    audit.counters.unknown_reference += task.counters.unknown_reference;
    audit.counters.partially_late += task.counters.partially_late;
    audit.counters.extra_fields += task.counters.extra_fields;
    if (!task.members.empty()) audit.result_rows_said += task.members[0].rows_out;
    const std::int64_t origin = task.origin.inputs.at(0);
    results_from[task.partition] = task.origin.outputs.front();
    letters_from[task.partition] = task.origin.outputs.back();
    const bus::TopicInfo::PartitionInfo& partition = topic.partitions[static_cast<std::size_t>(task.partition)];
    SL_ASSIGN_OR_RETURN(const Counted counted, CountRecords(source.bus, pipeline.name, {dataset.topic, Partition(task.partition)},
                                                            Offset(origin), partition.start, Offset(task.positions[0])));
    audit.log_records += counted.records;
    for (std::size_t v = 0; v < kVerdicts; ++v) replayed[v] += counted.replayed[v];
    audit.gone += counted.gone;
    audit.dropped += partition.dropped;
    audit.waiting += static_cast<std::uint64_t>(std::max<std::int64_t>(0, partition.visible.value - task.positions[0]));
  }
  // A letter of ingest that was offered again was no record of the topic: `in` of the pipeline has it neither before nor after.
  if (audit.gone == 0) Expect(audit, "records", audit.log_records, audit.counters.in(), audit.dropped);
  for (std::size_t v = 0; v < kVerdicts && audit.gone == 0; ++v) {
    audit.replayed += replayed[v];
    Expect(audit, "replayed " + std::string(kVerdictNames[v]), replayed[v], audit.counters.replayed[v], audit.dropped);
  }
  SL_ASSIGN_OR_RETURN(const auto own, CountDeadLetters(source, flow::Plan::DeadLetterTopic(pipeline.name), letters_from));
  for (const Verdict verdict : {Verdict::kLate, Verdict::kFuture, Verdict::kMalformed, Verdict::kInvalid, Verdict::kStateLimit}) {
    const auto v = static_cast<std::size_t>(verdict);
    audit.dead_letters += own[v];
    Expect(audit, "dead letters " + std::string(VerdictName(verdict)), own[v], audit.counters.verdicts[v]);
  }
  const Status read = ForEach(source, flow::Plan::ResultsTopic(pipeline.name), results_from, [&](std::string_view value) -> Status {
    ResultRecord record;
    SL_TRY(DecodeResult(value, pipeline.shape.schema, record));
    if (!record.closed) audit.result_rows += record.rows.rows;
    return {};
  });
  SL_TRY(read);
  if (audit.gone == 0) Expect(audit, "result rows", audit.result_rows, audit.result_rows_said);
  SL_ASSIGN_OR_RETURN(const auto refused, CountDeadLetters(source, DeadLetterTopic(dataset.name), {}));
  for (std::size_t v = 0; v < kVerdicts; ++v) {
    audit.refused_at_ingest += refused[v];
    audit.counters.verdicts[v] += refused[v];
  }
  // From here on each record stands under its newest verdict alone.
  for (std::size_t v = 0; v < kVerdicts; ++v) {
    audit.counters.verdicts[v] -= std::min(audit.counters.verdicts[v], audit.counters.replayed[v]);
    audit.counters.replayed[v] = 0;
  }
  audit.in = audit.log_records + audit.refused_at_ingest;
  if (audit.gone == 0) Expect(audit, "in", audit.in, audit.counters.in(), audit.dropped);
  audit.holds = audit.differences.empty();
  return audit;
}

}  // namespace

std::string AuditReport::ToJson() const {
  nlohmann::ordered_json out;
  out["holds"] = holds;
  out["pipelines"] = nlohmann::ordered_json::array();
  for (const PipelineAudit& audit : pipelines) {
    nlohmann::ordered_json one;
    one["pipeline"] = audit.pipeline;
    one["dataset"] = audit.dataset;
    one["holds"] = audit.holds;
    one["in"] = audit.in;
    for (std::size_t v = 0; v < kVerdicts; ++v) one[std::string(kVerdictNames[v])] = audit.counters.verdicts[v];
    one["unknown_location"] = audit.counters.unknown_reference;
    one["partially_late"] = audit.counters.partially_late;
    one["extra_fields"] = audit.counters.extra_fields;
    one["refused_at_ingest"] = audit.refused_at_ingest;
    one["log_records"] = audit.log_records;
    one["removed_by_retention"] = audit.gone;
    one["dropped"] = audit.dropped;
    one["waiting"] = audit.waiting;
    one["dead_letters"] = audit.dead_letters;
    one["replayed"] = audit.replayed;
    one["result_rows"] = audit.result_rows;
    one["differences"] = audit.differences;
    out["pipelines"].push_back(std::move(one));
  }
  return out.dump();
}

Result<AuditReport> Audit(const AuditSource& source) {
  AuditReport report;
  const int attempts = source.log == AuditSource::Log::kMoving ? kAttempts : 1;
  for (const flow::PipelinePlan& pipeline : source.plan.pipelines) {
    if (pipeline.kind != flow::PipelineKind::kRoot) continue;
    Result<PipelineAudit> audit = AuditPipeline(source, pipeline);
    // Counts and topics are read one after the other: while records keep coming they may be of different moments.
    for (int attempt = 1; audit && !audit->holds && attempt < attempts; ++attempt) {
      std::this_thread::sleep_for(kBetweenAttempts);
      audit = AuditPipeline(source, pipeline);
    }
    if (!audit) return std::unexpected(audit.error());
    report.holds = report.holds && audit->holds;
    report.pipelines.push_back(std::move(*audit));
  }
  return report;
}

Result<AuditReport> Audit(DataPlane& plane, const flow::Plan& plan) {
  if (plane.log() != nullptr) return Audit({.bus = plane.bus(), .plan = plan, .tasks = [&plane] { return plane.tasks(); }});
  return Audit(
      {.bus = plane.bus(), .plan = plan, .tasks = [&plane] { return plane.Recount(); }, .offsets = AuditSource::Offsets::kWithGaps});
}

}  // namespace sightline::app
