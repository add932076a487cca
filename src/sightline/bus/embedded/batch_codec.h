#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "sightline/bus/embedded/format.h"

namespace sightline::bus {

// A batch ready for its place in a log: the content is framed, compressed and summed up, which needs no lock; offset,
// position and times come when it is admitted.
struct EncodedBatch {
  BatchHeader header;            // size, count, type … are set; offset, position, times are not
  std::uint32_t content_crc = 0;
  std::string bytes;             // room for the header, then the content
};

// kInvalidArgument when keys and values differ in number, nothing is in it, or it is larger than `bytes_max`.
Result<EncodedBatch> EncodeBatch(const AppendBatch& batch, Compression compression, std::uint64_t bytes_max);

// Takes the records out of a batch's content. Uncompressed values are views into `content`; else into a buffer of the
// decoder's own. Everything stays valid until the next call. Not thread-safe.
class BatchDecoder {
 public:
  BatchDecoder();
  ~BatchDecoder();
  BatchDecoder(const BatchDecoder&) = delete;
  BatchDecoder& operator=(const BatchDecoder&) = delete;

  // kCorruption when the content is not what the header says. Safe on any bytes.
  Status Decode(const BatchHeader& header, std::string_view content);
  std::span<const std::string_view> values() const { return values_; }
  std::span<const std::string_view> keys() const { return keys_; }

 private:
  struct Zstd;
  Result<std::string_view> Expand(const BatchHeader& header, std::string_view content);

  std::unique_ptr<Zstd> zstd_;
  std::vector<char> expanded_;
  std::vector<std::string_view> values_;
  std::vector<std::string_view> keys_;
};

}  // namespace sightline::bus
