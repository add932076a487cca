#include "sightline/bus/embedded/consumer_groups.h"

#include "sightline/base/bytes.h"
#include "sightline/bus/embedded/topic_files.h"

namespace sightline::bus {
namespace {

constexpr std::uint64_t kJournalMax = 1ULL << 30;
constexpr std::uint64_t kWriteAnewAfter = 64 << 10;
constexpr std::string_view kMagic = "SLCG\1\0\0\0";
constexpr std::string_view kEnding = ".offsets";

// u32 CRC-32C of the rest, u32 its size, then: topic (varint length, bytes), partition i32, offset i64, epoch i32.
void PutEntry(std::string& out, const TopicPartition& partition, ConsumerGroups::Position position) {
  std::string body;
  ByteWriter fields(body);
  fields.PutString(partition.topic);
  fields.Put(partition.partition.value);
  fields.Put(position.offset.value);
  fields.Put(position.epoch.value);
  std::string sized;
  ByteWriter(sized).Put(static_cast<std::uint32_t>(body.size()));
  sized += body;
  ByteWriter entry(out);
  entry.Put(Crc32c(sized));
  entry.PutBytes(sized);
}

}  // namespace

Result<std::unique_ptr<ConsumerGroups>> ConsumerGroups::Open(const runtime::Runtime& runtime, std::string directory) {
  std::unique_ptr<ConsumerGroups> groups(new ConsumerGroups(runtime, std::move(directory)));
  SL_ASSIGN_OR_RETURN(const auto entries, runtime.files.List(groups->directory_));
  for (const runtime::FileInfo& entry : entries) {
    if (entry.name.ends_with(".tmp")) {
      SL_TRY(runtime.files.Remove(groups->directory_ + "/" + entry.name));
    } else if (entry.name.ends_with(kEnding)) {
      SL_TRY(groups->Load(entry.name.substr(0, entry.name.size() - kEnding.size())));
    }
  }
  return groups;
}

Status ConsumerGroups::Load(const std::string& name) {
  SL_ASSIGN_OR_RETURN(const std::string journal, runtime::ReadFile(runtime_.files, PathOf(name), kJournalMax));
  auto group = std::make_shared<Group>();
  ByteReader in(journal);
  if (in.GetBytes(kMagic.size()) != kMagic) {
    return Fail(ErrorKind::kCorruption, PathOf(name) + " is damaged; remove it to make the group begin anew");
  }
  // The first entry that is not whole was never acknowledged, nor is anything behind it.
  while (in.remaining() > 0) {
    const auto crc = in.Get<std::uint32_t>();
    const char* sized = in.position();
    const auto size = in.Get<std::uint32_t>();
    ByteReader fields(in.GetBytes(size));
    if (!in.ok() || Crc32c({sized, size + sizeof size}) != crc) break;
    TopicPartition partition;
    partition.topic = fields.GetString();
    partition.partition = Partition(fields.Get<std::int32_t>());
    Position position;
    position.offset = Offset(fields.Get<std::int64_t>());
    position.epoch = Epoch(fields.Get<std::int32_t>());
    if (fields.done()) group->positions.insert_or_assign(partition, position);
  }
  SL_TRY(WriteAnew(*group, name));
  groups_.emplace(name, std::move(group));
  return {};
}

// With the group's io lock, or before anybody knows the group.
Status ConsumerGroups::WriteAnew(Group& group, const std::string& name) {
  std::string journal(kMagic);
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [partition, position] : group.positions) PutEntry(journal, partition, position);
  }
  group.file.reset();
  SL_TRY(runtime::WriteFileAtomically(runtime_.files, PathOf(name), journal));
  SL_ASSIGN_OR_RETURN(group.file, runtime_.files.Open(PathOf(name), runtime::OpenMode::kReadWrite));
  group.size = group.written_anew_at = journal.size();
  return {};
}

Result<std::shared_ptr<ConsumerGroups::Group>> ConsumerGroups::FindOrMake(const std::string& name) {
  {
    const std::lock_guard lock(mutex_);
    if (const auto found = groups_.find(name); found != groups_.end()) return found->second;
  }
  SL_TRY(CheckName("consumer group", name));
  const std::lock_guard lock(mutex_);
  return groups_.try_emplace(name, std::make_shared<Group>()).first->second;
}

Status ConsumerGroups::Commit(const std::string& name, const TopicPartition& partition, Position position) {
  SL_ASSIGN_OR_RETURN(const auto group, FindOrMake(name));
  const std::lock_guard io(group->io);
  if (group->failed) {
    return Fail(ErrorKind::kIo, "consumer group " + name + " takes no commit until the program is started again: " + PathOf(name) +
                                    " could not be written");
  }
  // Until the entry is durable the old position holds; a failure leaves it unknown which one a restart finds, and both are
  // positions that the group asked for.
  Status written;
  if (!group->file || group->size > 2 * group->written_anew_at + kWriteAnewAfter) written = WriteAnew(*group, name);
  std::string entry;
  PutEntry(entry, partition, position);
  if (written) written = group->file->WriteAt(group->size, entry);
  if (!written && written.error().kind == ErrorKind::kResourceExhausted) return written;  // overwritten by the next one
  if (written) written = runtime_.failpoints.Hit("bus.group.before_sync");
  if (written) written = group->file->Sync();
  if (written) written = runtime_.failpoints.Hit("bus.group.after_sync");
  if (!written) {
    group->failed = true;
    return Fail(ErrorKind::kIo, written.error().message);
  }
  group->size += entry.size();
  const std::lock_guard lock(mutex_);
  group->positions.insert_or_assign(partition, position);
  return {};
}

std::optional<ConsumerGroups::Position> ConsumerGroups::Find(const std::string& name, const TopicPartition& partition) const {
  const std::lock_guard lock(mutex_);
  const auto group = groups_.find(name);
  if (group == groups_.end()) return std::nullopt;
  const auto position = group->second->positions.find(partition);
  if (position == group->second->positions.end()) return std::nullopt;
  return position->second;
}

Status ConsumerGroups::Drop(const std::string& name) {
  std::shared_ptr<Group> group;
  {
    const std::lock_guard lock(mutex_);
    const auto found = groups_.find(name);
    if (found == groups_.end()) return Fail(ErrorKind::kNotFound, "there is no consumer group " + name);
    group = found->second;
  }
  const std::lock_guard io(group->io);
  SL_TRY(runtime_.files.Remove(PathOf(name)));
  SL_TRY(runtime_.files.SyncDirectory(directory_));
  group->file.reset();
  const std::lock_guard lock(mutex_);
  group->positions.clear();
  groups_.erase(name);
  return {};
}

std::optional<ConsumerGroups::Hold> ConsumerGroups::SmallestIn(const TopicPartition& partition) const {
  const std::lock_guard lock(mutex_);
  std::optional<Hold> smallest;
  for (const auto& [name, group] : groups_) {
    const auto position = group->positions.find(partition);
    if (position == group->positions.end()) continue;
    if (!smallest || position->second.offset < smallest->offset) {
      smallest = Hold{.offset = position->second.offset, .group = name};
    }
  }
  return smallest;
}

std::vector<std::string> ConsumerGroups::Names() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> names;
  for (const auto& [name, group] : groups_) {
    if (!group->positions.empty()) names.push_back(name);
  }
  return names;
}

std::map<TopicPartition, ConsumerGroups::Position> ConsumerGroups::PositionsOf(const std::string& name) const {
  const std::lock_guard lock(mutex_);
  const auto group = groups_.find(name);
  return group == groups_.end() ? std::map<TopicPartition, Position>() : group->second->positions;
}

}  // namespace sightline::bus
