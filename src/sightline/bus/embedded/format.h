#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "sightline/bus/port.h"

// The bytes of the log on disk. docs/formats/log.md is the authority; every number here stands there too.
namespace sightline::bus {

inline constexpr std::uint32_t kSegmentMagic = 0x47534c53;  // "SLSG"
inline constexpr std::uint32_t kBatchMagic = 0x31424c53;    // "SLB1"
inline constexpr std::size_t kSegmentHeaderSize = 64;
inline constexpr std::size_t kBatchHeaderSize = 120;
inline constexpr std::size_t kBatchMagicAt = 4;
inline constexpr std::uint8_t kFormatVersion = 1;
// No batch is larger, compressed or not: a reader never allocates more for one.
inline constexpr std::uint32_t kBatchBytesMax = 256U << 20;

inline constexpr std::uint32_t kBatchHasKeys = 1;
inline constexpr std::uint32_t kBatchHasIdempotency = 2;

// What stands before the content of a batch.
struct BatchHeader {
  std::uint32_t size = 0;  // of the batch, this header included
  BatchType type = BatchType::kData;
  Encoding encoding = Encoding::kJson;
  Compression codec = Compression::kNone;
  std::uint64_t segment_id = 0;
  std::uint64_t position = 0;  // of the batch in its segment
  Offset base;
  AppendTime append_time;
  Offset durable_upto;    // everything before it was on disk when this was written
  Offset published_upto;  // owned topics: everything before it was published when this was written
  Epoch epoch;
  std::uint32_t count = 0;
  std::uint32_t raw_size = 0;  // of the content before compression
  std::uint32_t flags = 0;
  std::uint64_t producer = 0;
  std::uint64_t sequence = 0;
  IdempotencyTag tag;  // with kBatchHasIdempotency

  Offset end() const { return base + static_cast<std::int64_t>(count); }
  bool has_keys() const { return (flags & kBatchHasKeys) != 0; }
  bool has_tag() const { return (flags & kBatchHasIdempotency) != 0; }
  std::size_t content_size() const { return size - kBatchHeaderSize; }
};

// Writes the header's kBatchHeaderSize bytes, checksum included; `content_crc` is the CRC-32C of the content.
void StoreBatchHeader(const BatchHeader& header, std::uint32_t content_crc, char* to);
// Fields of the header at the start of `bytes`, if it is one by its magic, version and bounds; the checksum is not looked at.
std::optional<BatchHeader> LoadBatchHeader(std::string_view bytes);
// Whether the checksum of a whole batch is right.
bool BatchChecksumHolds(std::string_view batch);

// The batch at `position` of a segment: whole, undamaged, and written for that place.
std::optional<BatchHeader> BatchAt(std::string_view segment, std::uint64_t segment_id, std::uint64_t position);
// The first such batch at `from` or later.
std::optional<BatchHeader> FindBatch(std::string_view segment, std::uint64_t segment_id, std::uint64_t from);

struct SegmentHeader {
  std::uint64_t id = 0;
  Offset base;
  Epoch epoch;
  Partition partition;
  WallTime created;
  std::uint64_t topic_hash = 0;  // Hash64 of the topic's name
};

std::string EncodeSegmentHeader(const SegmentHeader& header);
std::optional<SegmentHeader> LoadSegmentHeader(std::string_view segment);

// A segment is named by its first offset and its id, "00000000000000000042-0123456789abcdef.log", so that its batches can
// be told from strangers even when its header is damaged.
struct SegmentName {
  Offset base;
  std::uint64_t id = 0;
  std::string Stem() const;
  std::string LogFile() const { return Stem() + ".log"; }
  std::string SidecarFile() const { return Stem() + ".meta"; }
  static std::optional<SegmentName> Parse(std::string_view file, std::string_view ending);
  friend bool operator==(const SegmentName&, const SegmentName&) = default;
};

}  // namespace sightline::bus
