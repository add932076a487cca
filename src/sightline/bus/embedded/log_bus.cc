#include "sightline/bus/embedded/log_bus.h"

#include <algorithm>

#include "sightline/base/text.h"
#include "sightline/bus/embedded/log_reader.h"
#include "sightline/bus/embedded/topic_files.h"
#include "sightline/runtime/random.h"

namespace sightline::bus {

// The single owner of a partition of an owned topic.
class LogBus::Owned final : public OwnedPartition {
 public:
  explicit Owned(std::shared_ptr<LogPartition> partition) : partition_(std::move(partition)) {}
  Owned(const Owned&) = delete;
  Owned& operator=(const Owned&) = delete;
  ~Owned() override { partition_->Disown(); }
  Result<Appended> Append(const AppendBatch& batch) override { return partition_->AppendOwned(batch); }
  Status Sync() override { return partition_->MakeDurable(partition_->end()); }
  Status Publish(Offset end) override { return partition_->Publish(end); }
  Status TruncateTo(Offset end) override { return partition_->TruncateTo(end); }
  Offset end() const override { return partition_->end(); }

 private:
  std::shared_ptr<LogPartition> partition_;
};

LogBus::LogBus(const runtime::Runtime& runtime, const std::string& data, const Options& options)
    : runtime_(runtime),
      options_(options),
      log_directory_(data + "/log"),
      topics_directory_(log_directory_ + "/topics"),
      seed_(options.seed != 0 ? options.seed : runtime::SystemEntropy()) {}

Result<std::unique_ptr<LogBus>> LogBus::Open(const runtime::Runtime& runtime, const std::string& data, Options options) {
  std::unique_ptr<LogBus> bus(new LogBus(runtime, data, options));
  if (options.flushing == Flushing::kThreads) {
    for (int i = 0; i < std::max(1, options.flush_threads); ++i) {
      bus->flushers_.push_back(std::make_unique<Flusher>(runtime.clock, options.cohort_wait));
    }
  }
  SL_TRY(bus->Prepare(data));
  SL_ASSIGN_OR_RETURN(const auto entries, runtime.files.List(bus->topics_directory_));
  for (const runtime::FileInfo& entry : entries) {
    if (!entry.directory) continue;
    auto spec = LoadTopicSpec(runtime.files, bus->TopicDirectory(entry.name));
    // Without its settings it is a topic whose making a crash interrupted: nothing was ever appended.
    if (!spec && spec.error().kind == ErrorKind::kNotFound) continue;
    if (!spec) return std::unexpected(std::move(spec).error());
    SL_TRY(bus->OpenTopic(*spec, false));
  }
  for (const auto& flusher : bus->flushers_) flusher->Start();
  if (options.flushing == Flushing::kThreads && options.retention_interval.count() > 0) {
    bus->retention_thread_ = std::thread([raw = bus.get()] { raw->RunRetention(); });
  }
  return bus;
}

// Directories, the lock, the groups.
Status LogBus::Prepare(const std::string& data) {
  const std::string groups = log_directory_ + "/groups";
  SL_TRY(runtime_.files.CreateDirectories(topics_directory_));
  SL_TRY(runtime_.files.CreateDirectories(groups));
  SL_TRY(runtime_.files.SyncDirectory(log_directory_));
  SL_TRY(runtime_.files.SyncDirectory(data));
  const std::size_t slash = data.rfind('/');
  SL_TRY(runtime_.files.SyncDirectory(slash == std::string::npos ? "." : slash == 0 ? "/" : data.substr(0, slash)));
  SL_ASSIGN_OR_RETURN(lock_, runtime_.files.Lock(log_directory_));
  SL_ASSIGN_OR_RETURN(groups_, ConsumerGroups::Open(runtime_, groups));
  return {};
}

LogBus::~LogBus() { static_cast<void>(Close()); }

Status LogBus::Close() {
  {
    const std::lock_guard lock(closing_mutex_);
    if (closing_) return {};
    closing_ = true;
    closing_wake_.notify_all();
  }
  if (retention_thread_.joinable()) retention_thread_.join();
  for (const auto& flusher : flushers_) flusher->Stop();
  Status first;
  for (const auto& partition : AllPartitions()) {
    if (auto closed = partition->Close(); !closed && first) first = std::move(closed);
  }
  lock_.reset();
  return first;
}

// Recovery mostly waits for the disk, which takes several syncs at a time. Without threads of its own the bus opens one
// after the other, so that a simulation is the same each time.
std::vector<Result<std::unique_ptr<PartitionLog>>> LogBus::OpenLogs(const TopicSpec& spec, const LogLimits& limits) const {
  constexpr std::int32_t kThreads = 8;
  std::vector<Result<std::unique_ptr<PartitionLog>>> logs(static_cast<std::size_t>(spec.partitions));
  const auto open_every = [&](std::int32_t first, std::int32_t step) {
    for (std::int32_t i = first; i < spec.partitions; i += step) {
      logs[static_cast<std::size_t>(i)] = PartitionLog::Open(runtime_, TopicDirectory(spec.name) + "/" + std::to_string(i),
                                                             {.topic = spec.name, .partition = Partition(i)}, spec, limits);
    }
  };
  if (options_.flushing != Flushing::kThreads || spec.partitions == 1) {
    open_every(0, 1);
    return logs;
  }
  std::vector<std::thread> threads;
  const std::int32_t count = std::min(kThreads, spec.partitions);
  for (std::int32_t i = 0; i < count; ++i) threads.emplace_back(open_every, i, count);
  for (std::thread& thread : threads) thread.join();
  return logs;
}

// With change_mutex_, or before anybody knows the bus.
Status LogBus::OpenTopic(const TopicSpec& spec, bool fresh) {
  Topic topic{.spec = spec, .partitions = {}};
  const LogLimits limits{
      .batch_bytes_max = options_.batch_bytes_max, .disk_reserve_bytes = options_.disk_reserve_bytes, .segment_id_seed = seed_};
  std::vector<Result<std::unique_ptr<PartitionLog>>> logs = OpenLogs(spec, limits);
  for (std::int32_t i = 0; i < spec.partitions; ++i) {
    const TopicPartition name{.topic = spec.name, .partition = Partition(i)};
    SL_ASSIGN_OR_RETURN(auto log, std::move(logs[static_cast<std::size_t>(i)]));
    if (!fresh) recovered_.push_back({.partition = name, .report = log->recovery()});
    Flusher* flusher = flushers_.empty() ? nullptr : flushers_[next_flusher_++ % flushers_.size()].get();
    auto partition =
        std::make_shared<LogPartition>(std::move(log), flusher, options_.flushing == Flushing::kInline, limits, options_.pending_bytes_max);
    if (flusher != nullptr) flusher->Add(*partition);
    UpdateHold(*partition);
    topic.partitions.push_back(std::move(partition));
  }
  const std::unique_lock lock(topics_mutex_);
  topics_.insert_or_assign(spec.name, std::move(topic));
  return {};
}

Status LogBus::EnsureTopic(const TopicSpec& spec) {
  SL_TRY(CheckSpec(spec));
  const std::lock_guard change(change_mutex_);
  Topic* there = nullptr;
  {
    const std::shared_lock lock(topics_mutex_);
    if (const auto found = topics_.find(spec.name); found != topics_.end()) there = &found->second;
  }
  if (there != nullptr) return UpdateTopic(*there, spec);
  const std::string directory = TopicDirectory(spec.name);
  for (std::int32_t i = 0; i < spec.partitions; ++i) {
    SL_TRY(runtime_.files.CreateDirectories(directory + "/" + std::to_string(i)));
  }
  SL_TRY(runtime_.files.SyncDirectory(directory));
  SL_TRY(runtime_.files.SyncDirectory(topics_directory_));
  SL_TRY(runtime_.failpoints.Hit("bus.topic.before_create"));
  SL_TRY(SaveTopicSpec(runtime_.files, directory, spec));
  return OpenTopic(spec, true);
}

// With change_mutex_.
Status LogBus::UpdateTopic(Topic& topic, const TopicSpec& spec) {
  if (topic.spec.partitions != spec.partitions) {
    return Fail(ErrorKind::kFailedPrecondition, "topic " + spec.name + " has " + std::to_string(topic.spec.partitions) +
                                                    " partitions, and " + std::to_string(spec.partitions) +
                                                    " are asked for; a topic's partitions are fixed, drain it into a new one");
  }
  if (topic.spec.owned != spec.owned) {
    return Fail(ErrorKind::kFailedPrecondition,
                "topic " + spec.name + (topic.spec.owned ? " belongs" : " does not belong") + " to a pipeline; use another name");
  }
  SL_TRY(SaveTopicSpec(runtime_.files, TopicDirectory(spec.name), spec));
  const std::unique_lock lock(topics_mutex_);
  topic.spec = spec;
  for (const auto& partition : topic.partitions) partition->SetSpec(spec);
  return {};
}

Result<std::vector<std::string>> LogBus::Topics() {
  const std::shared_lock lock(topics_mutex_);
  std::vector<std::string> names;
  for (const auto& [name, topic] : topics_) names.push_back(name);
  return names;
}

Result<TopicInfo> LogBus::Describe(const std::string& name) {
  const std::shared_lock lock(topics_mutex_);
  const auto found = topics_.find(name);
  if (found == topics_.end()) return UnknownTopic(name);
  TopicInfo info{.spec = found->second.spec, .partitions = {}};
  for (const auto& partition : found->second.partitions) info.partitions.push_back(partition->Describe());
  return info;
}

// With topics_mutex_.
std::unexpected<Error> LogBus::UnknownTopic(const std::string& name) const {
  std::vector<std::string_view> names;
  for (const auto& [known, topic] : topics_) names.push_back(known);
  const std::string_view meant = DidYouMean(name, names);
  return Fail(ErrorKind::kNotFound,
              "there is no topic '" + name + "'" + (meant.empty() ? "" : "; did you mean '" + std::string(meant) + "'?"));
}

Result<std::shared_ptr<LogPartition>> LogBus::Find(const TopicPartition& name) const {
  const std::shared_lock lock(topics_mutex_);
  const auto found = topics_.find(name.topic);
  if (found == topics_.end()) return UnknownTopic(name.topic);
  const auto& partitions = found->second.partitions;
  if (name.partition.value < 0 || static_cast<std::size_t>(name.partition.value) >= partitions.size()) {
    return Fail(ErrorKind::kNotFound, "topic " + name.topic + " has partitions 0 to " + std::to_string(partitions.size() - 1) +
                                          ", no partition " + std::to_string(name.partition.value));
  }
  return partitions[static_cast<std::size_t>(name.partition.value)];
}

void LogBus::Append(const TopicPartition& to, const AppendBatch& batch, AppendDone done) {
  auto partition = Find(to);
  if (!partition) return done(std::unexpected(std::move(partition).error()));
  if ((*partition)->is_owned_topic()) {
    return done(Fail(ErrorKind::kFailedPrecondition, "topic " + to.topic + " belongs to a pipeline, which alone appends to it"));
  }
  (*partition)->Append(batch, std::move(done));
}

Result<std::unique_ptr<Reader>> LogBus::OpenReader(const TopicPartition& from, Offset at) {
  SL_ASSIGN_OR_RETURN(auto partition, Find(from));
  SL_TRY(partition->CheckPosition(at, std::nullopt));
  return std::make_unique<LogReader>(std::move(partition), at);
}

Result<std::unique_ptr<OwnedPartition>> LogBus::OpenOwned(const TopicPartition& name) {
  SL_ASSIGN_OR_RETURN(auto partition, Find(name));
  const std::string where = "topic " + name.topic + " partition " + std::to_string(name.partition.value);
  if (!partition->is_owned_topic()) {
    return Fail(ErrorKind::kFailedPrecondition, where + " is not a topic that a pipeline owns");
  }
  if (!partition->Own()) return Fail(ErrorKind::kFailedPrecondition, where + " has an owner already");
  return std::make_unique<Owned>(std::move(partition));
}

Status LogBus::MakeDurable(const TopicPartition& name, Offset end) {
  SL_ASSIGN_OR_RETURN(const auto partition, Find(name));
  return partition->MakeDurable(end);
}

Status LogBus::CommitOffset(const std::string& group, const TopicPartition& name, Offset offset) {
  SL_ASSIGN_OR_RETURN(const auto partition, Find(name));
  SL_TRY(partition->CheckPosition(offset, std::nullopt));
  SL_TRY(groups_->Commit(group, name, {.offset = offset, .epoch = partition->epoch()}));
  UpdateHold(*partition);
  return {};
}

Result<std::optional<Offset>> LogBus::CommittedOffset(const std::string& group, const TopicPartition& name) {
  SL_ASSIGN_OR_RETURN(const auto partition, Find(name));
  const auto position = groups_->Find(group, name);
  if (!position) return std::nullopt;
  if (auto valid = partition->CheckPosition(position->offset, position->epoch); !valid) {
    return std::unexpected(std::move(valid).error().In("consumer group " + group));
  }
  return position->offset;
}

Status LogBus::DropGroup(const std::string& group) {
  SL_TRY(groups_->Drop(group));
  for (const auto& partition : AllPartitions()) UpdateHold(*partition);
  return {};
}

void LogBus::UpdateHold(LogPartition& partition) {
  // One at a time, or an older reading could replace a newer one.
  const std::lock_guard lock(hold_mutex_);
  const auto hold = groups_->SmallestIn(partition.name());
  partition.SetHold(hold ? hold->offset : Offset(std::numeric_limits<std::int64_t>::max()), hold ? "consumer group " + hold->group : "");
}

Result<std::shared_ptr<void>> LogBus::Subscribe(const TopicPartition& name, Waker waker) {
  SL_ASSIGN_OR_RETURN(const auto partition, Find(name));
  return partition->Subscribe(std::move(waker));
}

std::vector<std::shared_ptr<LogPartition>> LogBus::AllPartitions() const {
  const std::shared_lock lock(topics_mutex_);
  std::vector<std::shared_ptr<LogPartition>> all;
  for (const auto& [name, topic] : topics_) all.insert(all.end(), topic.partitions.begin(), topic.partitions.end());
  return all;
}

std::size_t LogBus::FlushOnce() {
  std::size_t answered = 0;
  for (const auto& partition : AllPartitions()) answered += partition->Flush();
  return answered;
}

Status LogBus::ApplyRetention(WallTime now) {
  Status first;
  for (const auto& partition : AllPartitions()) {
    if (auto applied = partition->Retain(now); !applied && first) first = std::move(applied);
  }
  return first;
}

void LogBus::RunRetention() {
  std::unique_lock lock(closing_mutex_);
  while (!closing_wake_.wait_for(lock, options_.retention_interval, [this] { return closing_; })) {
    lock.unlock();
    // A partition that failed says so to its producers; what could not be removed now is tried again.
    static_cast<void>(ApplyRetention(runtime_.clock.Now()));
    lock.lock();
  }
}

Result<std::vector<VerifyReport>> LogBus::Verify(const std::string& topic) {
  std::vector<std::shared_ptr<LogPartition>> partitions;
  {
    const std::shared_lock lock(topics_mutex_);
    const auto found = topics_.find(topic);
    if (found == topics_.end()) return UnknownTopic(topic);
    partitions = found->second.partitions;
  }
  std::vector<VerifyReport> reports;
  for (const auto& partition : partitions) {
    SL_ASSIGN_OR_RETURN(VerifyReport report, partition->Verify());
    reports.push_back(std::move(report));
  }
  return reports;
}

Result<std::vector<RetryTable::Tag>> LogBus::Requests(const TopicPartition& name) const {
  SL_ASSIGN_OR_RETURN(const auto partition, Find(name));
  return partition->Requests();
}

Result<VerifyReport> LogBus::Repair(const TopicPartition& name) {
  SL_ASSIGN_OR_RETURN(const auto partition, Find(name));
  return partition->Repair();
}

}  // namespace sightline::bus
