#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "sightline/bus/port.h"

namespace sightline::ingest::testing {

// A bus in memory that answers an append when the test says so, or fails it; it keeps idempotency tags as the real one does. For
// tests of writers: there are no readers. Thread-safe.
class HeldBus final : public bus::Bus {
 public:
  struct Record {
    bus::Encoding encoding;
    std::string value;
  };

  // Appends from now on wait for Release.
  void Hold() {
    const std::lock_guard lock(mutex_);
    hold_ = true;
  }
  std::size_t held() {
    const std::lock_guard lock(mutex_);
    return held_.size();
  }
  // Answers what waits, newest first, and everything from now on at once.
  void Release() {
    std::vector<std::pair<AppendDone, Result<bus::Appended>>> held;
    {
      const std::lock_guard lock(mutex_);
      hold_ = false;
      held.swap(held_);
    }
    for (auto it = held.rbegin(); it != held.rend(); ++it) it->first(std::move(it->second));
  }
  // The next appends to the topic fail with this, and are not there.
  void FailNext(const std::string& topic, Error error, int times = 1) {
    const std::lock_guard lock(mutex_);
    failures_[topic] = {std::move(error), times};
  }
  std::vector<Record> Records(const std::string& topic, std::int32_t partition) {
    const std::lock_guard lock(mutex_);
    return topics_[{topic, Partition(partition)}];
  }
  std::size_t Total(const std::string& topic) {
    const std::lock_guard lock(mutex_);
    std::size_t total = 0;
    for (const auto& [where, records] : topics_) total += where.topic == topic ? records.size() : 0;
    return total;
  }

  Status EnsureTopic(const bus::TopicSpec& spec) override {
    const std::lock_guard lock(mutex_);
    specs_[spec.name] = spec;
    return {};
  }
  Result<std::vector<std::string>> Topics() override {
    const std::lock_guard lock(mutex_);
    std::vector<std::string> names;
    for (const auto& [name, spec] : specs_) names.push_back(name);
    return names;
  }
  Result<bus::TopicInfo> Describe(const std::string& topic) override {
    const std::lock_guard lock(mutex_);
    const auto found = specs_.find(topic);
    if (found == specs_.end()) return Fail(ErrorKind::kNotFound, "there is no topic '" + topic + "'");
    bus::TopicInfo info;
    info.spec = found->second;
    info.partitions.resize(static_cast<std::size_t>(info.spec.partitions));
    return info;
  }
  void Append(const TopicPartition& to, const bus::AppendBatch& batch, AppendDone done) override {
    std::unique_lock lock(mutex_);
    Result<bus::Appended> result = Take(to, batch);
    if (hold_) {
      held_.emplace_back(std::move(done), std::move(result));
      return;
    }
    lock.unlock();
    done(std::move(result));
  }
  Result<std::unique_ptr<bus::Reader>> OpenReader(const TopicPartition&, Offset) override {
    return Fail(ErrorKind::kNotFound, "no readers");
  }
  Result<std::unique_ptr<bus::OwnedPartition>> OpenOwned(const TopicPartition&) override { return Fail(ErrorKind::kNotFound, "not owned"); }
  Status MakeDurable(const TopicPartition&, Offset) override { return {}; }
  Status CommitOffset(const std::string&, const TopicPartition&, Offset) override { return {}; }
  Result<std::optional<Offset>> CommittedOffset(const std::string&, const TopicPartition&) override { return std::optional<Offset>(); }
  Status DropGroup(const std::string&) override { return {}; }
  Result<std::shared_ptr<void>> Subscribe(const TopicPartition&, bus::Waker) override { return std::shared_ptr<void>(); }

 private:
  Result<bus::Appended> Take(const TopicPartition& to, const bus::AppendBatch& batch) {
    if (auto& [error, times] = failures_[to.topic]; times > 0) {
      --times;
      return std::unexpected(error);
    }
    auto& records = topics_[to];
    if (batch.idempotency) {
      const auto& tag = *batch.idempotency;
      const auto [at, fresh] = tags_.try_emplace({to, tag.key.low, tag.key.high, tag.part}, tag.digest);
      if (!fresh && at->second != tag.digest) return Fail(ErrorKind::kAlreadyExists, "another request has this key");
      if (!fresh) return bus::Appended{Offset(0), static_cast<std::uint32_t>(batch.values.size()), true};
    }
    const Offset base(static_cast<std::int64_t>(records.size()));
    for (const auto value : batch.values) records.push_back({batch.encoding, std::string(value)});
    return bus::Appended{base, static_cast<std::uint32_t>(batch.values.size()), false};
  }

  std::mutex mutex_;
  bool hold_ = false;
  std::vector<std::pair<AppendDone, Result<bus::Appended>>> held_;
  std::map<std::string, std::pair<Error, int>> failures_;
  std::map<std::string, bus::TopicSpec> specs_;
  std::map<TopicPartition, std::vector<Record>> topics_;
  std::map<std::tuple<TopicPartition, std::uint64_t, std::uint64_t, std::uint32_t>, std::uint32_t> tags_;
};

}  // namespace sightline::ingest::testing
