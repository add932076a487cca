#include "apps/sightline/migration/target.h"

#include <algorithm>
#include <iterator>
#include <set>

#include "apps/sightline/client.h"
#include "apps/sightline/kafka.h"
#include "apps/sightline/migration/record_cursor.h"
#include "apps/sightline/statistics.h"
#include "connectors/postgres/examination.h"
#include "sightline/flow/task.h"

namespace sightline::app {
namespace {

// What the client of the brokers says is said again, with the remedy, by what fails.
ops::Log Silent(const World& world) {
  return {world.clock, ops::LogLevel::kError, [](std::string_view) {}};
}

}  // namespace

MigrationTarget::MigrationTarget(const World& world, const config::Config& config, runtime::Failpoints& failpoints)
    : world_(world), config_(config), runtime_{world.clock, world.files, failpoints} {}

Result<std::unique_ptr<MigrationTarget>> MigrationTarget::Open(const World& world, const config::Config& config,
                                                               runtime::Failpoints& failpoints, Access access) {
  std::unique_ptr<MigrationTarget> target(new MigrationTarget(world, config, failpoints));
  SL_TRY(target->Open(access));
  return target;
}

Status MigrationTarget::Open(Access access) {
  SL_ASSIGN_OR_RETURN(bus_, kafka::KafkaBus::Open(KafkaOptions(config_.drivers.bus, Silent(world_))));
  SL_ASSIGN_OR_RETURN(OpenedObjects opened, OpenObjects(config_.drivers.objects, config_.data, runtime_, access));
  objects_ = std::move(opened.store);
  references_ = std::make_unique<flow::ObjectReferenceStore>(*objects_, "references");
  commits_ =
      std::make_unique<kafka::TransactionCommitLogs>(*bus_, *objects_, runtime_.failpoints, kafka::TransactionCommitLogs::Settings());
  return {};
}

Result<stores::StatisticsStore*> MigrationTarget::statistics() {
  if (statistics_ == nullptr) {
    SL_ASSIGN_OR_RETURN(statistics_, OpenStatistics(config_, config_.data, runtime_));
  }
  return statistics_.get();
}

Result<std::vector<std::string>> MigrationTarget::Contents(const flow::Plan& plan, const std::vector<std::string>& topics,
                                                           Results results) {
  std::vector<std::string> found;
  SL_TRY(AddTopics(plan, topics, found));
  SL_TRY(AddPositions(plan, found));
  SL_TRY(AddRequests(found));
  SL_TRY(AddStates(plan, found));
  if (results == Results::kLookAt) SL_TRY(AddResults(plan, found));
  return found;
}

// What was put there in a transaction that was aborted, as `doctor` does, takes offsets and is no record.
Result<bool> MigrationTarget::HoldsRecords(const std::string& topic) {
  SL_ASSIGN_OR_RETURN(const bus::TopicInfo info, bus_->Describe(topic));
  for (std::size_t p = 0; p < info.partitions.size(); ++p) {
    const bus::TopicInfo::PartitionInfo& partition = info.partitions[p];
    if (partition.start >= partition.visible) continue;
    SL_ASSIGN_OR_RETURN(std::unique_ptr<bus::Reader> reader,
                        bus_->OpenReader({topic, Partition(static_cast<std::int32_t>(p))}, partition.start));
    RecordCursor cursor(std::move(reader), partition.visible, world_.sleep);
    SL_ASSIGN_OR_RETURN(const std::optional<MovingRecord> record, cursor.Next());
    if (record) return true;
  }
  return false;
}

Status MigrationTarget::AddTopics(const flow::Plan& plan, const std::vector<std::string>& topics, std::vector<std::string>& found) {
  std::set<std::string> ours(topics.begin(), topics.end());
  for (const flow::PipelinePlan& pipeline : plan.pipelines) ours.insert(kafka::ProgressTopic(pipeline.name));
  SL_ASSIGN_OR_RETURN(const std::vector<std::string> there, bus_->Topics());
  for (const std::string& topic : there) {
    if (!ours.contains(topic)) continue;
    SL_ASSIGN_OR_RETURN(const bool records, HoldsRecords(topic));
    if (records) found.push_back("the topic " + bus_->FullName(topic) + " holds records");
  }
  return {};
}

Status MigrationTarget::AddPositions(const flow::Plan& plan, std::vector<std::string>& found) {
  for (const flow::PipelinePlan& pipeline : plan.pipelines) {
    if (plan.pipelines[static_cast<std::size_t>(pipeline.root)].name != pipeline.name) continue;
    const bool merge = pipeline.kind == flow::PipelineKind::kMerge;
    const std::string topic =
        bus_->FullName(merge ? flow::Plan::ResultsTopic(plan.pipelines[static_cast<std::size_t>(pipeline.parent)].name)
                             : plan.FindDataset(pipeline.from)->topic);
    const std::int32_t count = merge ? flow::PartitionsOf(plan, pipeline.parent) : plan.FindDataset(pipeline.from)->partitions;
    std::vector<TopicPartition> inputs;
    for (Partition p(0); p.value < count; ++p.value) inputs.push_back({topic, p});
    const std::string group = bus_->FullName("commits." + pipeline.name);
    SL_ASSIGN_OR_RETURN(const std::vector<kafka::GroupOffset> offsets, bus_->positions().Committed(group, inputs));
    if (!offsets.empty()) found.push_back("the consumer group " + group + " has positions");
  }
  return {};
}

Status MigrationTarget::AddRequests(std::vector<std::string>& found) {
  const std::string topic = bus_->FullName(std::string(kafka::kClaimsTopic));
  SL_ASSIGN_OR_RETURN(const kafka::ClusterInfo cluster, bus_->admin().Cluster(topic));
  const auto there = cluster.topics.find(topic);
  if (there == cluster.topics.end()) return {};
  std::vector<TopicPartition> partitions;
  partitions.reserve(there->second.size());
  for (std::size_t p = 0; p < there->second.size(); ++p) partitions.push_back({topic, Partition(static_cast<std::int32_t>(p))});
  SL_ASSIGN_OR_RETURN(const std::vector<Offset> ends, bus_->admin().Ends(partitions, kafka::Isolation::kCommitted));
  if (std::ranges::any_of(ends, [](Offset end) { return end > Offset(0); })) found.push_back("the topic " + topic + " knows requests");
  return {};
}

Status MigrationTarget::AddStates(const flow::Plan& plan, std::vector<std::string>& found) {
  for (const flow::PipelinePlan& pipeline : plan.pipelines) {
    SL_ASSIGN_OR_RETURN(const std::vector<stores::ObjectInfo> objects, stores::ListAll(*objects_, "flow/" + pipeline.name + "/"));
    if (!objects.empty()) found.push_back(objects_->location() + " holds state of " + pipeline.name + " (flow/" + pipeline.name + "/)");
  }
  return {};
}

Status MigrationTarget::AddResults(const flow::Plan& plan, std::vector<std::string>& found) {
  SL_ASSIGN_OR_RETURN(stores::StatisticsStore* const store, statistics());
  SL_ASSIGN_OR_RETURN(const std::vector<stores::StatisticsTable> tables, store->Tables());
  for (const stores::StatisticsTable& table : tables) {
    const std::string& pipeline = table.shape.pipeline;
    if (plan.Find(pipeline) < 0) continue;
    SL_ASSIGN_OR_RETURN(const auto offsets, store->Offsets(pipeline, table.generation, flow::Plan::ResultsTopic(pipeline)));
    bool rows = !offsets.empty();
    if (table.active && !rows) {
      stores::RowQuery query{.pipeline = pipeline};
      query.limit = 1;
      SL_ASSIGN_OR_RETURN(const std::unique_ptr<stores::RowStream> stream, store->Select(query));
      ColumnBatch one;
      SL_ASSIGN_OR_RETURN(rows, stream->Next(one));
    }
    if (rows) found.push_back("the statistics store holds results of " + pipeline);
  }
  return {};
}

std::vector<Finding> ExamineEngines(const World& world, const config::Config& config) {
  std::vector<Finding> findings = ExamineKafkaBus(config, world);
  const bool running = FindServer(world, config.data).has_value();
  std::ranges::move(ExamineObjects(world, config, running), std::back_inserter(findings));
  if (config.drivers.statistics.type == config::StatisticsType::kPostgres) {
    std::ranges::move(FindingsOf("statistics", postgres::ExamineStatistics(PostgresOptionsOf(config.drivers.statistics), world.clock)),
                      std::back_inserter(findings));
  }
  return findings;
}

}  // namespace sightline::app
