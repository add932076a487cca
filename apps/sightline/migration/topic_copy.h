#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "apps/sightline/framework.h"
#include "apps/sightline/migration/record_cursor.h"
#include "connectors/kafka/record_copier.h"
#include "sightline/bus/port.h"
#include "sightline/flow/offset_map.h"
#include "sightline/runtime/failpoints.h"

namespace sightline::app {

// What became of one partition.
struct CopiedPartition {
  flow::OffsetMap map;
  std::uint64_t records = 0;  // on both sides, each compared with its original
  std::uint64_t bytes = 0;    // of keys and values
  std::uint64_t there = 0;    // records that an earlier call had brought
};

// Copies topics of the embedded log to Kafka, record by record in their order, with type, encoding, key and append time.
//
// Each partition of the target is read from its beginning and compared with its original; what is missing behind that is appended in
// transactions, and read back and compared as well. So a call that was killed goes on where the last transaction ended, a topic with other
// records is refused, and what each record's offset is now is known for sure. Nobody else may write to either side. Not thread-safe.
//
// Where the log's beginning was removed by retention, the new topic does not begin at offset 0 either: whoever counts anew from there must
// know that something is missing.
class TopicCopy {
 public:
  // All must outlive it. `maps`: of the partitions that were copied before; those of dead letters must be there before a dataset's topic is
  // copied, since records that were offered again name their letters by offset.
  TopicCopy(const Context& context, bus::Bus& from, kafka::KafkaBus& to, kafka::RecordCopier& copier, runtime::Failpoints& failpoints,
            flow::OffsetMaps& maps)
      : context_(context), from_(from), to_(to), copier_(copier), failpoints_(failpoints), maps_(maps) {}

  // Makes the topic, without retention, and copies every partition into it; enters them into `maps`.
  Result<std::vector<CopiedPartition>> Copy(const std::string& topic);

 private:
  Result<CopiedPartition> CopyPartition(const TopicPartition& partition, const bus::TopicInfo::PartitionInfo& from);
  Status MarkBeginning(const TopicPartition& partition);
  // How the partition stands once no transaction is open in it: one that was committed is seen a moment later.
  Result<bus::TopicInfo::PartitionInfo> Look(const TopicPartition& partition);
  Result<RecordCursor> OpenCursor(bus::Bus& bus, const TopicPartition& partition, Offset at, Offset end);
  // Compares up to the end of `target`, and notes what lies where.
  Status Compare(const TopicPartition& partition, RecordCursor& original, RecordCursor& target, std::uint64_t total,
                 CopiedPartition& copied);
  // Appends what is left; true if there was anything.
  Result<bool> Append(const TopicPartition& partition, RecordCursor& original, std::uint64_t total, std::uint64_t there);
  Result<MovingRecord> AsMoved(const MovingRecord& original);

  const Context& context_;
  bus::Bus& from_;
  kafka::KafkaBus& to_;
  kafka::RecordCopier& copier_;
  runtime::Failpoints& failpoints_;
  flow::OffsetMaps& maps_;
  std::string key_;  // of the record in hand, where it is another than the original's
};

// The key of a record that is offered again, once the letters that it may name were moved.
Result<std::string> MoveReplayKey(std::string_view key, const flow::OffsetMaps& maps);

}  // namespace sightline::app
