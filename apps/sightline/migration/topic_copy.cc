#include "apps/sightline/migration/topic_copy.h"

#include "apps/sightline/progress.h"
#include "sightline/model/replay.h"

namespace sightline::app {
namespace {

// A transaction, and what a client may hold at once.
constexpr std::uint64_t kTransactionRecords = 100'000;
constexpr std::uint64_t kTransactionBytes = 16ULL << 20;
constexpr std::uint64_t kLookEvery = 4096;
constexpr std::chrono::milliseconds kLook{10};
constexpr int kLooksMax = 12'000;

std::string Place(const TopicPartition& partition) { return partition.topic + "/" + std::to_string(partition.partition.value); }

// Stands for what the log had lost; nobody ever reads it, since the topic begins behind it.
constexpr kafka::RecordCopier::Record kBeginning{
    .type = bus::BatchType::kTick, .encoding = bus::Encoding::kBinary, .time = AppendTime(0), .value = {}};

bool IsBeginning(const MovingRecord& record) { return record.type == kBeginning.type && record.time == kBeginning.time; }

bool Same(const MovingRecord& a, const MovingRecord& b) {
  return a.type == b.type && a.encoding == b.encoding && a.time == b.time && a.value == b.value && a.key == b.key;
}

std::uint64_t SizeOf(const MovingRecord& record) { return record.value.size() + record.key.value_or(std::string_view()).size(); }

}  // namespace

Result<std::string> MoveReplayKey(std::string_view bytes, const flow::OffsetMaps& maps) {
  SL_ASSIGN_OR_RETURN(ReplayKey key, DecodeReplayKey(bytes));
  const std::string gone = flow::GoneTopic(std::string(key.topic));
  const auto map = maps.find({std::string(key.topic), key.partition});
  const std::optional<Offset> letter = map == maps.end() ? std::nullopt : map->second.RecordAt(key.offset);
  if (letter) {
    key.offset = *letter;
  } else {
    key.topic = gone;
  }
  std::string moved;
  EncodeReplayKey(key, moved);
  return moved;
}

Result<std::vector<CopiedPartition>> TopicCopy::Copy(const std::string& topic) {
  SL_ASSIGN_OR_RETURN(const bus::TopicInfo info, from_.Describe(topic));
  bus::TopicSpec spec = info.spec;
  // Nothing of it may go while it is compared.
  spec.retain_time = std::chrono::milliseconds(0);
  spec.retain_bytes = 0;
  SL_TRY(to_.EnsureTopic(spec));
  std::vector<CopiedPartition> copied;
  for (std::size_t p = 0; p < info.partitions.size(); ++p) {
    const TopicPartition partition{topic, Partition(static_cast<std::int32_t>(p))};
    auto one = CopyPartition(partition, info.partitions[p]);
    if (!one) return std::unexpected(std::move(one.error()).In("copying " + Place(partition)));
    maps_.insert_or_assign(partition, one->map);
    copied.push_back(std::move(*one));
  }
  return copied;
}

Result<bus::TopicInfo::PartitionInfo> TopicCopy::Look(const TopicPartition& partition) {
  for (int looks = 0;; ++looks) {
    SL_ASSIGN_OR_RETURN(const bus::TopicInfo info, to_.Describe(partition.topic));
    const bus::TopicInfo::PartitionInfo& there = info.partitions.at(static_cast<std::size_t>(partition.partition.value));
    if (there.visible == there.end) return there;
    if (looks >= kLooksMax) {
      return Fail(ErrorKind::kUnavailable, "a transaction is open in the topic on Kafka since " +
                                               std::to_string(kLooksMax * kLook.count() / 1000) +
                                               " s: somebody else writes there; call it again when that has ended");
    }
    context_.world.sleep(kLook);
  }
}

Result<RecordCursor> TopicCopy::OpenCursor(bus::Bus& bus, const TopicPartition& partition, Offset at, Offset end) {
  SL_ASSIGN_OR_RETURN(std::unique_ptr<bus::Reader> reader, bus.OpenReader(partition, at));
  return RecordCursor(std::move(reader), end, context_.world.sleep);
}

// Lets the new partition begin behind offset 0.
Status TopicCopy::MarkBeginning(const TopicPartition& partition) {
  SL_ASSIGN_OR_RETURN(bus::TopicInfo::PartitionInfo there, Look(partition));
  if (there.start > Offset(0)) return {};
  const auto first = [&]() -> Result<std::optional<MovingRecord>> {
    SL_ASSIGN_OR_RETURN(RecordCursor cursor, OpenCursor(to_, partition, there.start, there.visible));
    SL_ASSIGN_OR_RETURN(std::optional<MovingRecord> record, cursor.Next());
    if (record) record->value = {};  // a view into the cursor, as is the key
    if (record) record->key.reset();
    return record;
  };
  SL_ASSIGN_OR_RETURN(std::optional<MovingRecord> begins, first());
  if (!begins) {
    SL_TRY(copier_.Put(partition, kBeginning));
    SL_TRY(copier_.Commit());
    SL_ASSIGN_OR_RETURN(there, Look(partition));
    SL_ASSIGN_OR_RETURN(begins, first());
  }
  if (!begins || !IsBeginning(*begins)) {
    return Fail(ErrorKind::kFailedPrecondition,
                "the topic on Kafka holds other records already; delete it, or use another drivers.bus.prefix");
  }
  const std::vector<kafka::GroupOffset> before = {{{to_.FullName(partition.topic), partition.partition}, begins->offset + 1, {}}};
  const Status deleted = to_.admin().DeleteRecords(before);
  if (!deleted && deleted.error().kind == ErrorKind::kPermissionDenied) {
    return Fail(ErrorKind::kPermissionDenied, deleted.error().message +
                                                  " (the log's beginning was removed by retention, and so must the topic's be: "
                                                  "grant Delete on the topic for the time of the migration)");
  }
  return deleted;
}

// As it is to lie on the other side.
Result<MovingRecord> TopicCopy::AsMoved(const MovingRecord& original) {
  MovingRecord record = original;
  if (record.type != bus::BatchType::kReplay || !record.key) return record;
  SL_ASSIGN_OR_RETURN(key_, MoveReplayKey(*record.key, maps_));
  record.key = key_;
  return record;
}

Status TopicCopy::Compare(const TopicPartition& partition, RecordCursor& original, RecordCursor& target, std::uint64_t total,
                          CopiedPartition& copied) {
  Progress progress(context_, "comparing " + Place(partition), "records", total);
  for (;;) {
    SL_ASSIGN_OR_RETURN(const std::optional<MovingRecord> there, target.Next());
    if (!there) return {};
    SL_ASSIGN_OR_RETURN(const std::optional<MovingRecord> here, original.Next());
    const auto at = [&] {
      return "offset " + std::to_string(there->offset.value) + " of " + to_.FullName(partition.topic) + "/" +
             std::to_string(partition.partition.value) + " on Kafka";
    };
    if (!here) {
      return Fail(ErrorKind::kFailedPrecondition,
                  at() +
                      " holds a record that is not in the log: somebody else writes there; delete the topic, or "
                      "use another drivers.bus.prefix");
    }
    SL_ASSIGN_OR_RETURN(const MovingRecord moved, AsMoved(*here));
    if (!Same(moved, *there)) {
      return Fail(ErrorKind::kFailedPrecondition, at() + " does not hold the record at offset " + std::to_string(here->offset.value) +
                                                      " of the log: the topic belongs to something else; delete it, or use another "
                                                      "drivers.bus.prefix");
    }
    copied.map.Add(here->offset, there->offset);
    copied.bytes += SizeOf(moved);
    if (++copied.records % kLookEvery == 0) progress.Update(copied.records);
  }
}

Result<bool> TopicCopy::Append(const TopicPartition& partition, RecordCursor& original, std::uint64_t total, std::uint64_t there) {
  Progress progress(context_, "copying " + Place(partition), "records", total);
  std::uint64_t records = 0;
  std::uint64_t open_records = 0;
  std::uint64_t open_bytes = 0;
  const auto commit = [&]() -> Status {
    SL_TRY(copier_.Commit());
    open_records = open_bytes = 0;
    progress.Update(there + records);
    return failpoints_.Hit("migrate.topic.copied");
  };
  for (;;) {
    SL_ASSIGN_OR_RETURN(const std::optional<MovingRecord> here, original.Next());
    if (!here) break;
    SL_ASSIGN_OR_RETURN(const MovingRecord moved, AsMoved(*here));
    Status put = copier_.Put(partition,
                             {.type = moved.type, .encoding = moved.encoding, .time = moved.time, .value = moved.value, .key = moved.key});
    if (!put) {
      return std::unexpected(
          std::move(put.error())
              .In("the record at offset " + std::to_string(here->offset.value) + ", " + std::to_string(SizeOf(moved)) + " bytes"));
    }
    ++records;
    ++open_records;
    open_bytes += SizeOf(moved);
    if (open_records >= kTransactionRecords || open_bytes >= kTransactionBytes) SL_TRY(commit());
  }
  if (open_records > 0) SL_TRY(commit());
  return records > 0;
}

Result<CopiedPartition> TopicCopy::CopyPartition(const TopicPartition& partition, const bus::TopicInfo::PartitionInfo& from) {
  if (from.start > Offset(0)) SL_TRY(MarkBeginning(partition));
  SL_ASSIGN_OR_RETURN(bus::TopicInfo::PartitionInfo there, Look(partition));
  if (from.start > Offset(0) && there.start == Offset(0)) {
    return Fail(ErrorKind::kUnavailable, "the brokers have not removed the topic's beginning yet; call it again");
  }
  CopiedPartition copied{.map = flow::OffsetMap(from.start, there.start)};
  SL_ASSIGN_OR_RETURN(RecordCursor target, OpenCursor(to_, partition, there.start, there.visible));
  const auto total = static_cast<std::uint64_t>(from.visible - from.start);
  {
    SL_ASSIGN_OR_RETURN(RecordCursor original, OpenCursor(from_, partition, from.start, from.visible));
    SL_TRY(Compare(partition, original, target, total, copied));
    copied.there = copied.records;
    SL_ASSIGN_OR_RETURN(const bool appended, Append(partition, original, total, copied.there));
    if (!appended) return copied;
  }
  // What was appended is read back as well.
  SL_ASSIGN_OR_RETURN(there, Look(partition));
  target.SetEnd(there.visible);
  SL_ASSIGN_OR_RETURN(RecordCursor original, OpenCursor(from_, partition, from.start, from.visible));
  for (std::uint64_t i = 0; i < copied.there; ++i) SL_TRY(original.Next());
  SL_TRY(Compare(partition, original, target, total, copied));
  SL_ASSIGN_OR_RETURN(const std::optional<MovingRecord> missing, original.Next());
  if (!missing) return copied;
  return Fail(ErrorKind::kCorruption, "Kafka holds " + std::to_string(copied.records) + " records; that at offset " +
                                          std::to_string(missing->offset.value) + " of the log is missing although it was acknowledged");
}

}  // namespace sightline::app
