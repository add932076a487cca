#include "connectors/kafka/kafka_bus.h"

#include <algorithm>
#include <array>

#include "connectors/kafka/kafka_reader.h"
#include "connectors/kafka/record_reader.h"
#include "sightline/base/text.h"

namespace sightline::kafka {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds kSettingsKept{10'000};
constexpr milliseconds kLeadersWait{15'000};
constexpr milliseconds kWatchEvery{5};
constexpr milliseconds kWatchBackoff{1'000};

constexpr std::array<RecordHeader, 1> kProtobuf = {{{kEncodingHeader, "protobuf"}}};
constexpr std::array<RecordHeader, 1> kBinary = {{{kEncodingHeader, "binary"}}};
constexpr std::array<RecordHeader, 1> kTick = {{{kTypeHeader, "tick"}}};
constexpr std::array<RecordHeader, 2> kReplayJson = {{{kTypeHeader, "replay"}, {kEncodingHeader, "json"}}};
constexpr std::array<RecordHeader, 2> kReplayProtobuf = {{{kTypeHeader, "replay"}, {kEncodingHeader, "protobuf"}}};
constexpr std::array<RecordHeader, 2> kReplayBinary = {{{kTypeHeader, "replay"}, {kEncodingHeader, "binary"}}};

// JSON data, which is most of what there is, goes without headers.
std::span<const RecordHeader> HeadersOf(bus::BatchType type, bus::Encoding encoding) {
  if (type == bus::BatchType::kTick) return kTick;
  const bool replay = type == bus::BatchType::kReplay;
  switch (encoding) {
    case bus::Encoding::kJson: return replay ? std::span<const RecordHeader>(kReplayJson) : std::span<const RecordHeader>();
    case bus::Encoding::kProtobuf:
      return replay ? std::span<const RecordHeader>(kReplayProtobuf) : std::span<const RecordHeader>(kProtobuf);
    case bus::Encoding::kBinary: return replay ? std::span<const RecordHeader>(kReplayBinary) : std::span<const RecordHeader>(kBinary);
  }
  return {};
}

std::vector<OutRecord> RecordsOf(const bus::AppendBatch& batch) {
  const std::span<const RecordHeader> headers = HeadersOf(batch.type, batch.encoding);
  if (batch.type == bus::BatchType::kTick) return {OutRecord{.value = {}, .null_value = true, .key = std::nullopt, .headers = headers}};
  std::vector<OutRecord> records(batch.values.size());
  for (std::size_t i = 0; i < records.size(); ++i) {
    records[i].value = batch.values[i];
    if (!batch.keys.empty()) records[i].key = batch.keys[i];
    records[i].headers = headers;
  }
  return records;
}

std::vector<TopicPartition> PartitionsOf(const std::string& topic, std::size_t count) {
  std::vector<TopicPartition> all;
  for (std::size_t p = 0; p < count; ++p) all.push_back({topic, Partition(static_cast<std::int32_t>(p))});
  return all;
}

}  // namespace

Result<std::unique_ptr<KafkaBus>> KafkaBus::Open(KafkaBusOptions options) {
  std::unique_ptr<KafkaBus> bus(new KafkaBus(std::move(options)));
  SL_ASSIGN_OR_RETURN(bus->admin_, Admin::Make(bus->options_.client));
  SL_TRY(bus->admin_->Reach(bus->options_.connect_timeout));
  bus->positions_ = std::make_unique<GroupPositions>(bus->options_.client);
  bus->consumers_ = std::make_unique<ConsumerPool>(bus->options_.client, bus->options_.consumer);
  bus->watch_thread_ = std::thread([raw = bus.get()] { raw->Watch(); });
  return bus;
}

KafkaBus::~KafkaBus() {
  {
    const std::lock_guard lock(watch_mutex_);
    stopping_ = true;
  }
  watch_wake_.notify_all();
  if (watch_thread_.joinable()) watch_thread_.join();
  claims_.reset();
  producers_.clear();
}

void KafkaBus::Say(LogLevel level, const std::string& text) const {
  if (options_.client.log) options_.client.log(level, text);
}

std::unexpected<Error> KafkaBus::UnknownTopic(const std::string& name) {
  const auto names = Topics();
  const std::vector<std::string> known = names.value_or(std::vector<std::string>());
  const std::vector<std::string_view> views(known.begin(), known.end());
  const std::string_view meant = DidYouMean(name, views);
  return Fail(ErrorKind::kNotFound, "there is no topic '" + FullName(name) + "' on Kafka at " + BrokersOf(options_.client) +
                                        (meant.empty() ? "" : "; did you mean '" + std::string(meant) + "'?"));
}

// Partitions that are known keep their state: readers and wakers hang on it.
KafkaBus::TopicPtr KafkaBus::Keep(Topic topic) {
  const std::unique_lock lock(topics_mutex_);
  TopicPtr& kept = topics_[topic.spec.name];
  std::vector<std::shared_ptr<PartitionState>> states = kept == nullptr ? std::vector<std::shared_ptr<PartitionState>>() : kept->partitions;
  while (states.size() < static_cast<std::size_t>(topic.spec.partitions)) states.push_back(std::make_shared<PartitionState>());
  topic.partitions = std::move(states);
  topic.looked_at = steady_clock::now();
  kept = std::make_shared<const Topic>(std::move(topic));
  return kept;
}

Result<KafkaBus::TopicPtr> KafkaBus::LoadTopic(const std::string& name) {
  const std::string full = FullName(name);
  SL_ASSIGN_OR_RETURN(ClusterInfo cluster, admin_->Cluster(full));
  const auto found = cluster.topics.find(full);
  if (found == cluster.topics.end()) {
    const std::unique_lock lock(topics_mutex_);
    topics_.erase(name);
    return TopicPtr();
  }
  SL_ASSIGN_OR_RETURN(const TopicConfigs configs, admin_->DescribeTopic(full));
  Topic topic;
  topic.spec = SpecOf(name, configs, found->second.size());
  topic.batch_bytes_max = BatchBytesMax(configs);
  {
    const std::shared_lock lock(topics_mutex_);
    if (const auto ensured = ensured_.find(name); ensured != ensured_.end()) {
      topic.spec.owned = ensured->second.owned;
      topic.spec.durability = ensured->second.durability;
      topic.spec.compression = ensured->second.compression;
      topic.spec.when_full = ensured->second.when_full;
    }
  }
  return Keep(std::move(topic));
}

Result<KafkaBus::TopicPtr> KafkaBus::FindTopic(const std::string& name) {
  {
    const std::shared_lock lock(topics_mutex_);
    if (const auto found = topics_.find(name); found != topics_.end()) return found->second;
  }
  SL_ASSIGN_OR_RETURN(TopicPtr topic, LoadTopic(name));
  if (topic == nullptr) return UnknownTopic(name);
  return topic;
}

Result<KafkaBus::Place> KafkaBus::Find(const TopicPartition& name) {
  SL_ASSIGN_OR_RETURN(TopicPtr topic, FindTopic(name.topic));
  const auto& partitions = topic->partitions;
  if (name.partition.value < 0 || static_cast<std::size_t>(name.partition.value) >= partitions.size()) {
    return Fail(ErrorKind::kNotFound, "topic " + name.topic + " has partitions 0 to " + std::to_string(partitions.size() - 1) +
                                          ", no partition " + std::to_string(name.partition.value));
  }
  return Place{topic, partitions[static_cast<std::size_t>(name.partition.value)]};
}

Status KafkaBus::EnsureTopic(const bus::TopicSpec& spec) {
  SL_TRY(bus::CheckSpec(spec));
  const std::string full = FullName(spec.name);
  {
    const std::shared_lock lock(topics_mutex_);
    const auto before = ensured_.find(spec.name);
    if (before != ensured_.end() && before->second.owned != spec.owned) {
      return Fail(ErrorKind::kFailedPrecondition,
                  "topic " + spec.name + (spec.owned ? " does not belong" : " belongs") + " to a pipeline; use another name");
    }
  }
  SL_ASSIGN_OR_RETURN(ClusterInfo cluster, admin_->Cluster(full));
  auto found = cluster.topics.find(full);
  if (found == cluster.topics.end()) {
    const Status created = admin_->CreateTopic(TopicFor(full, spec, options_.policy));
    if (!created && created.error().kind != ErrorKind::kAlreadyExists) return created;
    SL_TRY(AwaitLeaders(full));
    SL_ASSIGN_OR_RETURN(cluster, admin_->Cluster(full));
    found = cluster.topics.find(full);
    if (found == cluster.topics.end()) return Fail(ErrorKind::kUnavailable, "topic " + full + " was made and is gone again");
  }
  SL_TRY(CheckExisting(spec, found->second));
  {
    const std::unique_lock lock(topics_mutex_);
    ensured_[spec.name] = spec;
  }
  SL_ASSIGN_OR_RETURN(const TopicPtr topic, LoadTopic(spec.name));
  return topic == nullptr ? Fail(ErrorKind::kUnavailable, "topic " + full + " is gone again") : Status();
}

// Takes our settings over, and says which others would lose data.
Status KafkaBus::CheckExisting(const bus::TopicSpec& spec, const std::vector<PartitionLeader>& partitions) {
  const std::string full = FullName(spec.name);
  SL_ASSIGN_OR_RETURN(TopicConfigs configs, admin_->DescribeTopic(full));
  const auto refuse = [&]() -> Status {
    for (const TopicRisk& risk : RisksOf(spec, options_.policy, configs, partitions)) {
      if (risk.weight == TopicRisk::Weight::kRefused) {
        return Fail(ErrorKind::kFailedPrecondition, "topic " + full + " " + risk.what + "; " + risk.remedy);
      }
    }
    return {};
  };
  SL_TRY(refuse());
  if (const auto changes = ChangesFor(spec, options_.policy, configs); !changes.empty()) {
    const Status altered = admin_->AlterTopic(full, changes);
    if (!altered && altered.error().kind != ErrorKind::kPermissionDenied) return altered;
    if (!altered) Say(LogLevel::kWarning, altered.error().message + "; it stays as it is");
    SL_ASSIGN_OR_RETURN(configs, admin_->DescribeTopic(full));
    SL_TRY(refuse());
  }
  for (const TopicRisk& risk : RisksOf(spec, options_.policy, configs, partitions)) {
    Say(LogLevel::kWarning, "topic " + full + " " + risk.what + "; " + risk.remedy);
  }
  return {};
}

// A topic is there before its partitions can be written.
Status KafkaBus::AwaitLeaders(const std::string& topic) {
  const auto until = steady_clock::now() + kLeadersWait;
  for (;;) {
    SL_ASSIGN_OR_RETURN(const ClusterInfo cluster, admin_->Cluster(topic));
    const auto found = cluster.topics.find(topic);
    if (found != cluster.topics.end() && !found->second.empty() &&
        std::ranges::all_of(found->second, [](const PartitionLeader& partition) { return partition.leader >= 0; })) {
      return {};
    }
    if (steady_clock::now() > until)
      return Fail(ErrorKind::kUnavailable, "topic " + topic + " was made, but nobody leads its partitions yet");
    std::this_thread::sleep_for(milliseconds(20));
  }
}

Result<std::vector<std::string>> KafkaBus::Topics() {
  SL_ASSIGN_OR_RETURN(const ClusterInfo cluster, admin_->Cluster());
  std::vector<std::string> names;
  for (const auto& [full, partitions] : cluster.topics) {
    if (full.starts_with("__") || !full.starts_with(options_.prefix)) continue;
    std::string name = full.substr(options_.prefix.size());
    if (name != kClaimsTopic) names.push_back(std::move(name));
  }
  return names;
}

Result<bus::TopicInfo> KafkaBus::Describe(const std::string& name) {
  SL_ASSIGN_OR_RETURN(TopicPtr topic, FindTopic(name));
  if (steady_clock::now() - topic->looked_at > kSettingsKept) {
    SL_ASSIGN_OR_RETURN(topic, LoadTopic(name));
    if (topic == nullptr) return UnknownTopic(name);
  }
  const std::vector<TopicPartition> partitions = PartitionsOf(FullName(name), topic->partitions.size());
  SL_ASSIGN_OR_RETURN(const auto starts, admin_->Starts(partitions));
  SL_ASSIGN_OR_RETURN(const auto ends, admin_->Ends(partitions, Isolation::kUncommitted));
  SL_ASSIGN_OR_RETURN(const auto visible, admin_->Ends(partitions, Isolation::kCommitted));
  bus::TopicInfo info{.spec = topic->spec, .partitions = {}};
  for (std::size_t p = 0; p < partitions.size(); ++p) {
    if (topic->partitions[p]->LearnEnd(visible[p].value)) topic->partitions[p]->Wake();
    // Both were asked one after the other: the later answer may be further.
    const Offset end = std::max(ends[p], visible[p]);
    info.partitions.push_back({.start = starts[p], .end = end, .visible = visible[p], .durable = end, .epoch = Epoch(0)});
  }
  return info;
}

Result<std::shared_ptr<Producer>> KafkaBus::ProducerFor(const Topic& topic) {
  const std::lock_guard lock(producers_mutex_);
  std::shared_ptr<Producer>& producer = producers_[topic.batch_bytes_max];
  // One that failed for good is replaced; what it had under way has been answered.
  if (producer != nullptr && producer->health()) return producer;
  ProducerOptions options = options_.producer;
  options.batch_bytes_max = topic.batch_bytes_max;
  SL_ASSIGN_OR_RETURN(std::unique_ptr<Producer> made, Producer::Make(options_.client, options));
  producer = std::move(made);
  return producer;
}

void KafkaBus::Append(const TopicPartition& to, const bus::AppendBatch& batch, AppendDone done) {
  if (Status valid = bus::CheckBatch(batch); !valid) return done(std::unexpected(std::move(valid).error()));
  if (batch.producer != 0) {
    return done(Fail(ErrorKind::kInvalidArgument, "a producer's own sequence numbers are not kept on Kafka; its clients have theirs"));
  }
  auto place = Find(to);
  if (!place) return done(std::unexpected(std::move(place).error()));
  if (place->topic->spec.owned) {
    return done(Fail(ErrorKind::kFailedPrecondition, "topic " + to.topic + " belongs to a pipeline, which alone appends to it"));
  }
  auto producer = ProducerFor(*place->topic);
  if (!producer) return done(std::unexpected(std::move(producer).error()));
  std::vector<OutRecord> records = RecordsOf(batch);
  const auto count = static_cast<std::uint32_t>(records.size());
  if (batch.idempotency) {
    if (Status small = (*producer)->CheckSizes(to.topic, records); !small) return done(std::unexpected(std::move(small).error()));
    const auto claims = Claims();
    if (!claims) return done(std::unexpected(claims.error()));
    return (*claims)->Append(*batch.idempotency, {FullName(to.topic), to.partition, CodecOf(place->topic->spec.compression)},
                             std::move(records), [state = std::move(place->state), done = std::move(done)](Result<bus::Appended> appended) {
                               if (appended && state->LearnEnd(appended->base.value + appended->count) && !state->has_readers())
                                 state->Wake();
                               done(std::move(appended));
                             });
  }
  (*producer)->Send(FullName(to.topic), to.partition, records, CodecOf(place->topic->spec.compression),
                    [state = std::move(place->state), count, done = std::move(done)](Result<std::int64_t> first) {
                      if (!first) return done(std::unexpected(std::move(first).error()));
                      // Readers are told by their own queue, as soon as it is there.
                      if (state->LearnEnd(*first + count) && !state->has_readers()) state->Wake();
                      done(bus::Appended{.base = Offset(*first), .count = count, .repeated = false});
                    });
}

Result<ClaimsLog*> KafkaBus::Claims() {
  const std::lock_guard lock(claims_mutex_);
  if (claims_ == nullptr) {
    SL_ASSIGN_OR_RETURN(claims_, ClaimsLog::Open(options_.client, *admin_, *consumers_, options_.prefix, options_.policy));
  }
  return claims_.get();
}

Status KafkaBus::Adopt(std::span<const ClaimsLog::Known> requests) {
  if (requests.empty()) return {};
  SL_ASSIGN_OR_RETURN(ClaimsLog* const claims, Claims());
  return claims->Adopt(requests);
}

void KafkaBus::NoteEnd(const TopicPartition& partition, Offset end) {
  const auto place = Find(partition);
  if (place && place->state->LearnEnd(end.value)) place->state->Wake();
}

Result<std::unique_ptr<bus::Reader>> KafkaBus::OpenReader(const TopicPartition& from, Offset at) {
  SL_ASSIGN_OR_RETURN(Place place, Find(from));
  return KafkaReader::Open(*consumers_, *admin_, {FullName(from.topic), from.partition}, std::move(place.state), at);
}

Result<std::unique_ptr<bus::OwnedPartition>> KafkaBus::OpenOwned(const TopicPartition& partition) {
  return Fail(ErrorKind::kFailedPrecondition,
              "topic " + partition.topic +
                  ": a topic that a pipeline owns is written by transactions on Kafka; it has no owner that "
                  "appends unseen, publishes and truncates");
}

Status KafkaBus::MakeDurable(const TopicPartition& name, Offset end) {
  SL_ASSIGN_OR_RETURN(const Place place, Find(name));
  if (end.value <= place.state->known_end()) return {};
  const TopicPartition full{FullName(name.topic), name.partition};
  SL_ASSIGN_OR_RETURN(const auto there, admin_->Ends({&full, 1}, Isolation::kUncommitted));
  if (end <= there[0]) return {};
  return Fail(ErrorKind::kOutOfRange, "topic " + name.topic + " partition " + std::to_string(name.partition.value) + " ends at offset " +
                                          std::to_string(there[0].value) + ", before " + std::to_string(end.value));
}

Status KafkaBus::CommitOffset(const std::string& group, const TopicPartition& name, Offset offset) {
  SL_TRY(bus::CheckName("consumer group", group));
  SL_TRY(MakeDurable(name, offset));
  const std::vector<GroupOffset> one = {{{FullName(name.topic), name.partition}, offset, {}}};
  return positions_->Commit(FullName(group), one);
}

Result<std::optional<Offset>> KafkaBus::CommittedOffset(const std::string& group, const TopicPartition& name) {
  SL_TRY(bus::CheckName("consumer group", group));
  SL_ASSIGN_OR_RETURN(const Place place, Find(name));
  const TopicPartition full{FullName(name.topic), name.partition};
  SL_ASSIGN_OR_RETURN(const auto found, positions_->Committed(FullName(group), {&full, 1}));
  if (found.empty()) return std::nullopt;
  SL_ASSIGN_OR_RETURN(const auto starts, admin_->Starts({&full, 1}));
  if (found[0].next < starts[0]) {
    return Fail(ErrorKind::kOutOfRange, "consumer group " + group + " stands at offset " + std::to_string(found[0].next.value) + " of " +
                                            full.topic + "/" + std::to_string(full.partition.value) + ", which begins at " +
                                            std::to_string(starts[0].value) + ": retention removed what it has not read");
  }
  return found[0].next;
}

Status KafkaBus::DropGroup(const std::string& group) {
  SL_TRY(bus::CheckName("consumer group", group));
  return admin_->DeleteGroup(FullName(group));
}

Result<std::shared_ptr<void>> KafkaBus::Subscribe(const TopicPartition& name, bus::Waker waker) {
  SL_ASSIGN_OR_RETURN(const Place place, Find(name));
  std::shared_ptr<void> subscription = place.state->Subscribe(std::move(waker));
  watch_wake_.notify_all();
  return subscription;
}

// Partitions that somebody waits for and nobody of this process reads: what others append there is found by asking.
void KafkaBus::Watch() {
  std::unique_lock lock(watch_mutex_);
  milliseconds wait = kWatchEvery;
  while (!watch_wake_.wait_for(lock, wait, [this] { return stopping_; })) {
    lock.unlock();
    std::vector<TopicPartition> asked;
    std::vector<std::shared_ptr<PartitionState>> states;
    {
      const std::shared_lock topics(topics_mutex_);
      for (const auto& [name, topic] : topics_) {
        for (std::size_t p = 0; p < topic->partitions.size(); ++p) {
          const auto& state = topic->partitions[p];
          if (!state->has_subscribers() || state->has_readers()) continue;
          asked.push_back({FullName(name), Partition(static_cast<std::int32_t>(p))});
          states.push_back(state);
        }
      }
    }
    wait = asked.empty() ? kWatchEvery * 20 : kWatchEvery;
    if (const auto ends = admin_->Ends(asked, Isolation::kCommitted); ends) {
      for (std::size_t i = 0; i < ends->size(); ++i) {
        if (states[i]->LearnEnd((*ends)[i].value)) states[i]->Wake();
      }
    } else {
      wait = kWatchBackoff;
    }
    lock.lock();
  }
}

}  // namespace sightline::kafka
