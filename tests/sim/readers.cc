#include "tests/sim/readers.h"

namespace sightline::sim {

bool Follower::Take(const bus::Batch& batch) {
  const std::string where = from_.topic + "/" + std::to_string(from_.partition.value);
  if (batch.base.value != next_) {
    checks_.Violated("committed reads", where + ": expected offset " + std::to_string(next_) + ", got " + std::to_string(batch.base.value));
    return false;
  }
  for (const std::string_view value : batch.values) {
    SeenRecord record{.type = batch.type, .encoding = batch.encoding, .append_time = batch.append_time.value, .value = std::string(value)};
    if (static_cast<std::size_t>(next_) == seen_.size()) {
      seen_.push_back(std::move(record));
    } else if (!(seen_[static_cast<std::size_t>(next_)] == record)) {
      checks_.Violated("committed reads",
                       where + ": the record at offset " + std::to_string(next_) + " is another one than a reader saw before");
      return false;
    }
    ++next_;
  }
  return true;
}

std::size_t Follower::Read(std::size_t batches) {
  const std::int64_t before = next_;
  const auto failed = [&](const Error& error) {
    reader_.reset();
    if (!world_.without_power()) world_.Judge("committed reads", "reading " + from_.topic, error);
    return static_cast<std::size_t>(next_ - before);
  };
  if (!reader_) {
    auto reader = world_.bus->OpenReader(from_, Offset(next_));
    if (!reader) return failed(reader.error());
    reader_ = std::move(*reader);
  }
  for (std::size_t i = 0; i < batches && !checks_.over(); ++i) {
    const auto batch = reader_->Next();
    if (!batch) return failed(batch.error());
    if (!*batch || !Take(**batch)) break;
  }
  return static_cast<std::size_t>(next_ - before);
}

void Follower::Restart(std::int64_t next) {
  reader_.reset();
  next_ = next;
}

void Follower::Recheck() {
  const std::int64_t resume = next_;
  const auto info = world_.bus->Describe(from_.topic);
  if (!info) return checks_.Violated("committed reads", info.error().ToString());
  Restart(info->partitions[static_cast<std::size_t>(from_.partition.value)].start.value);
  // Records that nobody saw before retention took them would leave a gap.
  if (next_ > static_cast<std::int64_t>(seen_.size())) {
    return checks_.Violated("committed reads", from_.topic + " begins at offset " + std::to_string(next_) + ", and its reader was at " +
                                                   std::to_string(seen_.size()) + " with a hold there");
  }
  while (Read(1000) > 0) {
  }
  Restart(resume);
}

void Follower::ForgetLost() {
  const auto info = world_.bus->Describe(from_.topic);
  if (!info) return;
  const auto end = static_cast<std::size_t>(info->partitions[static_cast<std::size_t>(from_.partition.value)].end.value);
  if (end < seen_.size()) seen_.resize(end);
  Restart(std::min<std::int64_t>(next_, static_cast<std::int64_t>(end)));
}

Sinks::Sinks(World& world, const Scenario& scenario, Checks& checks, runtime::Random& random) : world_(world), random_(random) {
  const flow::Plan& plan = scenario.plan();
  const auto follow = [&](const std::string& topic, int pipeline) {
    for (std::int32_t p = 0; p < flow::PartitionsOf(plan, pipeline); ++p) {
      sinks_.push_back({.follower = Follower(world, checks, {topic, Partition(p)}), .gathered = {}, .rows = {}});
    }
  };
  for (std::size_t i = 0; i < plan.pipelines.size(); ++i) {
    follow(flow::Plan::ResultsTopic(plan.pipelines[i].name), static_cast<int>(i));
    if (plan.pipelines[i].root == static_cast<int>(i)) follow(flow::Plan::DeadLetterTopic(plan.pipelines[i].name), static_cast<int>(i));
  }
}

const Sinks::Sink* Sinks::Find(const std::string& topic, std::int32_t partition) const {
  for (const Sink& sink : sinks_) {
    if (sink.follower.from().topic == topic && sink.follower.from().partition.value == partition) return &sink;
  }
  return nullptr;
}

void Sinks::Gather(Sink& sink, std::size_t batches) {
  const auto from = static_cast<std::size_t>(sink.follower.next());
  sink.follower.Read(batches);
  for (std::size_t at = from; at < static_cast<std::size_t>(sink.follower.next()); ++at) {
    sink.gathered.push_back(sink.follower.seen()[at].value);
  }
}

void Sinks::Apply(Sink& sink) {
  sink.rows.insert(sink.rows.end(), sink.gathered.begin(), sink.gathered.end());
  sink.gathered.clear();
}

void Sinks::Hold(Sink& sink) {
  const auto stored = static_cast<std::int64_t>(sink.rows.size());
  if (stored == sink.held) return;
  const TopicPartition& from = sink.follower.from();
  const Status held = world_.bus->CommitOffset("sink." + from.topic, from, Offset(stored));
  if (held) {
    sink.held = stored;
  } else if (!world_.without_power()) {
    world_.Judge("committed reads", "holding " + from.topic + " at the sink's offset", held.error());
  }
}

void Sinks::Step() {
  Sink& sink = sinks_[random_.Below(sinks_.size())];
  Gather(sink, 1 + random_.Below(20));
  if (random_.OneIn(2)) Apply(sink);
  if (random_.OneIn(4) && !world_.without_power()) Hold(sink);
}

bool Sinks::Drain() {
  bool any = false;
  for (Sink& sink : sinks_) {
    Gather(sink, 100'000);
    any = any || !sink.gathered.empty();
    Apply(sink);
    Hold(sink);
  }
  return any;
}

void Sinks::Restart() {
  for (Sink& sink : sinks_) {
    sink.gathered.clear();
    sink.follower.Restart(static_cast<std::int64_t>(sink.rows.size()));
    // The hold stands before the first record is read.
    if (sink.held < 0) Hold(sink);
    if (!world_.without_power()) sink.follower.Recheck();
  }
}

}  // namespace sightline::sim
