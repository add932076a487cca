// Any bytes as a segment: no reading may touch what is not there, and what is accepted must be consistent. Checksums are
// put right first, so that the parsers behind them are reached; without that, damage stops at the checksum.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "sightline/base/bytes.h"
#include "sightline/bus/embedded/batch_codec.h"
#include "sightline/bus/embedded/partition_files.h"

namespace sightline::bus {
namespace {

void Require(bool holds) {
  if (!holds) std::abort();
}

// Writes the right place and checksum into whatever looks like a batch header.
void PutRight(std::string& segment, std::uint64_t id) {
  for (std::size_t at = 0; at + kBatchHeaderSize <= segment.size();) {
    char* header = segment.data() + at;
    if (LoadLe<std::uint32_t>(header + kBatchMagicAt) != kBatchMagic) {
      ++at;
      continue;
    }
    const std::size_t size = LoadLe<std::uint32_t>(header + 8);
    if (size < kBatchHeaderSize || size > segment.size() - at) {
      ++at;
      continue;
    }
    StoreLe(header + 16, id);
    StoreLe(header + 24, static_cast<std::uint64_t>(at));
    const std::uint32_t content = Crc32c({header + kBatchHeaderSize, size - kBatchHeaderSize});
    StoreLe(header, Crc32c({header + 4, kBatchHeaderSize - 4}, content));
    at += size;
  }
}

void ReadAll(std::string_view segment, std::uint64_t id) {
  BatchDecoder decoder;
  std::uint64_t from = 0;
  while (const auto batch = FindBatch(segment, id, from)) {
    Require(batch->position >= from && batch->position + batch->size <= segment.size());
    if (decoder.Decode(*batch, segment.substr(batch->position + kBatchHeaderSize, batch->content_size()))) {
      Require(decoder.values().size() == batch->count);
      Require(decoder.keys().size() == (batch->has_keys() ? batch->count : 0));
      std::uint64_t bytes = 0;
      for (const std::string_view value : decoder.values()) bytes += value.size();
      for (const std::string_view key : decoder.keys()) bytes += key.size();
      Require(bytes <= batch->raw_size);
    }
    from = batch->position + 1;
  }
}

}  // namespace
}  // namespace sightline::bus

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace sightline::bus;
  constexpr std::uint64_t kId = 0x0123456789abcdef;
  std::string segment(reinterpret_cast<const char*>(data), size);
  static_cast<void>(LoadSegmentHeader(segment));
  static_cast<void>(Sidecar::Decode(segment));
  ReadAll(segment, kId);
  PutRight(segment, kId);
  ReadAll(segment, kId);
  return 0;
}
