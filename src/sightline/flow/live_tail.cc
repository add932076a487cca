#include "sightline/flow/live_tail.h"

#include <algorithm>

#include "sightline/base/hash.h"
#include "sightline/flow/task.h"

namespace sightline::flow {
namespace {

constexpr std::int64_t kLastResults = 2000;  // of each partition, read at the start: more than a window's groups
constexpr std::size_t kBatchesMax = 256;     // of one partition before the next has its turn
constexpr auto kEarlyKeptMin = std::chrono::minutes(10);
constexpr auto kWait = std::chrono::milliseconds(200);

// What one call put into one partition; lives until the bus has answered.
struct Sent {
  std::string bytes;
  std::vector<std::size_t> ends;
  std::vector<std::string_view> values;
};

}  // namespace

Status LiveTail::Open() {
  for (const PipelinePlan& pipeline : plan_.pipelines) {
    if (!pipeline.to_live) continue;
    const std::string topic = of_ == Of::kResults ? Plan::ResultsTopic(pipeline.name) : Plan::EarlyTopic(pipeline.name);
    SL_ASSIGN_OR_RETURN(const bus::TopicInfo info, bus_.Describe(topic));
    const auto shape = std::make_shared<const ResultShape>(pipeline.shape);
    for (std::size_t p = 0; p < info.partitions.size(); ++p) {
      const TopicPartition partition{topic, Partition(static_cast<std::int32_t>(p))};
      const std::int64_t start = info.partitions[p].start.value;
      const std::int64_t from = of_ == Of::kResults ? std::max(start, info.partitions[p].visible.value - kLastResults) : start;
      SL_ASSIGN_OR_RETURN(std::unique_ptr<bus::Reader> reader, bus_.OpenReader(partition, Offset(from)));
      inputs_.push_back(partition);
      sources_.push_back({&pipeline, shape, std::move(reader)});
    }
  }
  return {};
}

Result<bool> LiveTail::Step() {
  bool more = false;
  for (Source& source : sources_) {
    for (std::size_t i = 0; i < kBatchesMax; ++i) {
      SL_ASSIGN_OR_RETURN(const std::optional<bus::Batch> batch, source.reader->Next());
      if (!batch) break;
      more = true;
      std::vector<ResultRecord> records(batch->values.size());
      std::vector<LiveGroup> groups;
      for (std::size_t v = 0; v < records.size(); ++v) {
        // Results of another generation have another shape or meaning: the board shows this one.
        if (GenerationOf(batch->values[v]) != source.pipeline->fingerprint) continue;
        SL_TRY(DecodeResult(batch->values[v], source.shape->schema, records[v]));
        if (records[v].closed || (records[v].rows.rows == 0 && !records[v].emptied)) continue;
        groups.push_back({records[v].header, &records[v].rows, 0, records[v].rows.rows});
      }
      if (!groups.empty()) live_.Publish(source.shape, groups);
    }
  }
  return more;
}

Result<std::unique_ptr<LiveTailThread>> LiveTailThread::Start(bus::Bus& bus, const Plan& plan, LiveSink& live,
                                                              const std::vector<LiveTail::Of>& of,
                                                              std::function<void(const Error&)> on_error) {
  std::unique_ptr<LiveTailThread> made(new LiveTailThread(std::move(on_error)));
  LiveTailThread* self = made.get();
  for (const LiveTail::Of each : of) {
    auto tail = std::make_unique<LiveTail>(bus, plan, live, each);
    SL_TRY(tail->Open());
    for (const TopicPartition& input : tail->inputs()) {
      SL_ASSIGN_OR_RETURN(std::shared_ptr<void> subscription, bus.Subscribe(input, [self] { self->Wake(); }));
      made->subscriptions_.push_back(std::move(subscription));
    }
    made->tails_.push_back(std::move(tail));
  }
  made->thread_ = std::thread([self] { self->Run(); });
  return made;
}

LiveTailThread::~LiveTailThread() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    wake_.notify_one();
  }
  if (thread_.joinable()) thread_.join();
  subscriptions_.clear();
}

void LiveTailThread::Wake() {
  const std::lock_guard lock(mutex_);
  woken_ = true;
  wake_.notify_one();
}

void LiveTailThread::Run() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    woken_ = false;
    lock.unlock();
    bool more = false;
    for (const std::unique_ptr<LiveTail>& tail : tails_) {
      const Result<bool> stepped = tail->Step();
      if (stepped) {
        more = more || *stepped;
      } else if (on_error_) {
        on_error_(stepped.error());
      }
    }
    lock.lock();
    if (!more) wake_.wait_for(lock, kWait, [this] { return woken_ || stopping_; });
  }
}

Status EnsureEarlyTopics(bus::Bus& bus, const Plan& plan, const bus::TopicSpec& like) {
  for (std::size_t i = 0; i < plan.pipelines.size(); ++i) {
    const PipelinePlan& pipeline = plan.pipelines[i];
    if (!pipeline.to_live) continue;
    bus::TopicSpec spec = like;
    spec.name = Plan::EarlyTopic(pipeline.name);
    spec.partitions = PartitionsOf(plan, static_cast<int>(i));
    spec.durability = bus::Durability::kOs;
    spec.owned = false;
    spec.retain_time = std::max<std::chrono::milliseconds>(kEarlyKeptMin, 2 * (pipeline.window.size + pipeline.window.allowed_lateness));
    SL_TRY(bus.EnsureTopic(spec));
  }
  return {};
}

EarlyResults::EarlyResults(bus::Bus& bus, const Plan& plan) : bus_(bus), dropped_(std::make_shared<std::atomic<std::uint64_t>>(0)) {
  for (std::size_t i = 0; i < plan.pipelines.size(); ++i) {
    if (plan.pipelines[i].to_live) partitions_[plan.pipelines[i].name] = PartitionsOf(plan, static_cast<int>(i));
  }
}

void EarlyResults::Publish(const std::shared_ptr<const ResultShape>& shape, std::span<const LiveGroup> groups) {
  const auto known = partitions_.find(shape->pipeline);
  if (known == partitions_.end()) return;
  // A group keeps its partition, so that its states stay in order.
  std::map<std::int32_t, std::shared_ptr<Sent>> sent;
  for (const LiveGroup& group : groups) {
    const std::uint64_t hash = Hash64(GroupKey(*shape, *group.rows, group.begin));
    std::shared_ptr<Sent>& to = sent[static_cast<std::int32_t>(hash % static_cast<std::uint64_t>(known->second))];
    if (to == nullptr) to = std::make_shared<Sent>();
    if (group.begin == group.end) {
      EncodeEmptied(group.header, *shape, *group.rows, group.begin, to->bytes);
    } else {
      EncodeResult(group.header, shape->schema, *group.rows, group.begin, group.end, to->bytes);
    }
    to->ends.push_back(to->bytes.size());
  }
  for (auto& [partition, batch] : sent) {
    std::size_t begin = 0;
    for (const std::size_t end : batch->ends) {
      batch->values.push_back(std::string_view(batch->bytes).substr(begin, end - begin));
      begin = end;
    }
    bus::AppendBatch append;
    append.encoding = bus::Encoding::kBinary;
    append.values = batch->values;
    bus_.Append({Plan::EarlyTopic(shape->pipeline), Partition(partition)}, append,
                [batch = batch, dropped = dropped_](const Result<bus::Appended>& done) {
                  if (!done) *dropped += batch->values.size();
                });
  }
}

}  // namespace sightline::flow
