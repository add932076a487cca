#include "sightline/bus/embedded/format.h"

#include <charconv>
#include <cstring>

#include "sightline/base/bytes.h"

namespace sightline::bus {
namespace {

constexpr std::string_view kMagicBytes = "SLB1";

template <typename Enum>
bool InRange(std::uint8_t value, Enum last) {
  return value <= static_cast<std::uint8_t>(last);
}

}  // namespace

void StoreBatchHeader(const BatchHeader& header, std::uint32_t content_crc, char* to) {
  StoreLe(to + 4, kBatchMagic);
  StoreLe(to + 8, header.size);
  to[12] = static_cast<char>(kFormatVersion);
  to[13] = static_cast<char>(header.type);
  to[14] = static_cast<char>(header.encoding);
  to[15] = static_cast<char>(header.codec);
  StoreLe(to + 16, header.segment_id);
  StoreLe(to + 24, header.position);
  StoreLe(to + 32, header.base.value);
  StoreLe(to + 40, header.append_time.value);
  StoreLe(to + 48, header.durable_upto.value);
  StoreLe(to + 56, header.published_upto.value);
  StoreLe(to + 64, header.epoch.value);
  StoreLe(to + 68, header.count);
  StoreLe(to + 72, header.raw_size);
  StoreLe(to + 76, header.flags);
  StoreLe(to + 80, header.producer);
  StoreLe(to + 88, header.sequence);
  StoreLe(to + 96, header.tag.key.low);
  StoreLe(to + 104, header.tag.key.high);
  StoreLe(to + 112, header.tag.part);
  StoreLe(to + 116, header.tag.digest);
  StoreLe(to, Crc32c({to + 4, kBatchHeaderSize - 4}, content_crc));
}

std::optional<BatchHeader> LoadBatchHeader(std::string_view bytes) {
  if (bytes.size() < kBatchHeaderSize) return std::nullopt;
  const char* at = bytes.data();
  if (LoadLe<std::uint32_t>(at + 4) != kBatchMagic) return std::nullopt;
  const auto byte = [at](int i) { return static_cast<std::uint8_t>(at[i]); };
  if (byte(12) != kFormatVersion || !InRange(byte(13), BatchType::kReplay) || !InRange(byte(14), Encoding::kBinary) ||
      !InRange(byte(15), Compression::kZstd)) {
    return std::nullopt;
  }
  BatchHeader header;
  header.size = LoadLe<std::uint32_t>(at + 8);
  header.type = static_cast<BatchType>(byte(13));
  header.encoding = static_cast<Encoding>(byte(14));
  header.codec = static_cast<Compression>(byte(15));
  header.segment_id = LoadLe<std::uint64_t>(at + 16);
  header.position = LoadLe<std::uint64_t>(at + 24);
  header.base = Offset(LoadLe<std::int64_t>(at + 32));
  header.append_time = AppendTime(LoadLe<std::int64_t>(at + 40));
  header.durable_upto = Offset(LoadLe<std::int64_t>(at + 48));
  header.published_upto = Offset(LoadLe<std::int64_t>(at + 56));
  header.epoch = Epoch(LoadLe<std::int32_t>(at + 64));
  header.count = LoadLe<std::uint32_t>(at + 68);
  header.raw_size = LoadLe<std::uint32_t>(at + 72);
  header.flags = LoadLe<std::uint32_t>(at + 76);
  header.producer = LoadLe<std::uint64_t>(at + 80);
  header.sequence = LoadLe<std::uint64_t>(at + 88);
  header.tag.key = {LoadLe<std::uint64_t>(at + 96), LoadLe<std::uint64_t>(at + 104)};
  header.tag.part = LoadLe<std::uint32_t>(at + 112);
  header.tag.digest = LoadLe<std::uint32_t>(at + 116);
  const bool sane = header.size >= kBatchHeaderSize && header.size <= kBatchBytesMax && header.raw_size <= kBatchBytesMax &&
                    header.count > 0 && header.base.value >= 0;
  if (!sane) return std::nullopt;
  return header;
}

bool BatchChecksumHolds(std::string_view batch) {
  const std::uint32_t content = Crc32c(batch.substr(kBatchHeaderSize));
  return Crc32c(batch.substr(4, kBatchHeaderSize - 4), content) == LoadLe<std::uint32_t>(batch.data());
}

std::optional<BatchHeader> BatchAt(std::string_view segment, std::uint64_t segment_id, std::uint64_t position) {
  if (position > segment.size()) return std::nullopt;
  auto header = LoadBatchHeader(segment.substr(position));
  if (!header || header->segment_id != segment_id || header->position != position || header->size > segment.size() - position ||
      !BatchChecksumHolds(segment.substr(position, header->size))) {
    return std::nullopt;
  }
  return header;
}

std::optional<BatchHeader> FindBatch(std::string_view segment, std::uint64_t segment_id, std::uint64_t from) {
  std::size_t at = from + kBatchMagicAt;
  while (at < segment.size()) {
    const void* hit = memmem(segment.data() + at, segment.size() - at, kMagicBytes.data(), kMagicBytes.size());
    if (hit == nullptr) return std::nullopt;
    at = static_cast<std::size_t>(static_cast<const char*>(hit) - segment.data());
    if (auto header = BatchAt(segment, segment_id, at - kBatchMagicAt)) return header;
    ++at;
  }
  return std::nullopt;
}

std::string EncodeSegmentHeader(const SegmentHeader& header) {
  std::string bytes(kSegmentHeaderSize, '\0');
  char* to = bytes.data();
  StoreLe(to + 4, kSegmentMagic);
  to[8] = static_cast<char>(kFormatVersion);
  StoreLe(to + 16, header.id);
  StoreLe(to + 24, header.base.value);
  StoreLe(to + 32, header.epoch.value);
  StoreLe(to + 36, header.partition.value);
  StoreLe(to + 40, header.created.value);
  StoreLe(to + 48, header.topic_hash);
  StoreLe(to, Crc32c({to + 4, kSegmentHeaderSize - 4}));
  return bytes;
}

std::optional<SegmentHeader> LoadSegmentHeader(std::string_view segment) {
  if (segment.size() < kSegmentHeaderSize) return std::nullopt;
  const char* at = segment.data();
  if (LoadLe<std::uint32_t>(at + 4) != kSegmentMagic || static_cast<std::uint8_t>(at[8]) != kFormatVersion ||
      LoadLe<std::uint32_t>(at) != Crc32c(segment.substr(4, kSegmentHeaderSize - 4))) {
    return std::nullopt;
  }
  return SegmentHeader{.id = LoadLe<std::uint64_t>(at + 16),
                       .base = Offset(LoadLe<std::int64_t>(at + 24)),
                       .epoch = Epoch(LoadLe<std::int32_t>(at + 32)),
                       .partition = Partition(LoadLe<std::int32_t>(at + 36)),
                       .created = WallTime(LoadLe<std::int64_t>(at + 40)),
                       .topic_hash = LoadLe<std::uint64_t>(at + 48)};
}

std::string SegmentName::Stem() const {
  std::string stem(37, '0');
  std::string digits = std::to_string(base.value);
  digits.copy(stem.data() + 20 - digits.size(), digits.size());
  stem[20] = '-';
  for (int i = 0; i < 16; ++i) stem[static_cast<std::size_t>(36 - i)] = "0123456789abcdef"[(id >> (4 * i)) & 15];
  return stem;
}

std::optional<SegmentName> SegmentName::Parse(std::string_view file, std::string_view ending) {
  if (!file.ends_with(ending) || file.size() != 37 + ending.size() || file[20] != '-') return std::nullopt;
  SegmentName name;
  const char* at = file.data();
  if (std::from_chars(at, at + 20, name.base.value).ptr != at + 20) return std::nullopt;
  if (std::from_chars(at + 21, at + 37, name.id, 16).ptr != at + 37) return std::nullopt;
  if (name.base.value < 0) return std::nullopt;
  return name;
}

}  // namespace sightline::bus
