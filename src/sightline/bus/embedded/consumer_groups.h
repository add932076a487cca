#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "sightline/bus/port.h"
#include "sightline/runtime/runtime.h"

namespace sightline::bus {

// The positions of consumer groups, one small journal a group: each commit is appended and synced, and the journal is
// written anew when most of it is old. Thread-safe; commits of different groups do not wait for each other.
class ConsumerGroups {
 public:
  struct Position {
    Offset offset;
    Epoch epoch;  // of the partition when it was committed
  };
  struct Hold {
    Offset offset;
    std::string group;
  };

  static Result<std::unique_ptr<ConsumerGroups>> Open(const runtime::Runtime& runtime, std::string directory);

  // Durable when it returns. kIo after a failed sync, until the program is started again.
  Status Commit(const std::string& group, const TopicPartition& partition, Position position);
  std::optional<Position> Find(const std::string& group, const TopicPartition& partition) const;
  // kNotFound when there is no such group.
  Status Drop(const std::string& group);
  // The smallest position of all groups in a partition.
  std::optional<Hold> SmallestIn(const TopicPartition& partition) const;
  std::vector<std::string> Names() const;
  std::map<TopicPartition, Position> PositionsOf(const std::string& group) const;

 private:
  struct Group {
    std::mutex io;  // one commit at a time
    std::unique_ptr<runtime::File> file;
    std::uint64_t size = 0;
    std::uint64_t written_anew_at = 0;  // size after the last time
    bool failed = false;
    std::map<TopicPartition, Position> positions;  // guarded by ConsumerGroups::mutex_
  };

  ConsumerGroups(const runtime::Runtime& runtime, std::string directory) : runtime_(runtime), directory_(std::move(directory)) {}
  Status Load(const std::string& name);
  Result<std::shared_ptr<Group>> FindOrMake(const std::string& name);
  Status WriteAnew(Group& group, const std::string& name);
  std::string PathOf(const std::string& name) const { return directory_ + "/" + name + ".offsets"; }

  runtime::Runtime runtime_;
  std::string directory_;
  mutable std::mutex mutex_;
  std::map<std::string, std::shared_ptr<Group>> groups_;
};

}  // namespace sightline::bus
