#include "sightline/bus/embedded/batch_codec.h"

#include <lz4.h>
#include <zstd.h>

#include <array>
#include <cstring>

#include "sightline/base/bytes.h"

namespace sightline::bus {
namespace {

constexpr int kZstdLevel = 1;
constexpr std::array<std::string_view, 1> kTickRecord = {std::string_view()};

std::uint64_t SumSizes(std::span<const std::string_view> parts) {
  std::uint64_t sum = 0;
  for (const std::string_view part : parts) sum += part.size();
  return sum;
}

char* PutSizes(char* to, std::span<const std::string_view> parts) {
  for (const std::string_view part : parts) {
    StoreLe(to, static_cast<std::uint32_t>(part.size()));
    to += 4;
  }
  return to;
}

char* PutParts(char* to, std::span<const std::string_view> parts) {
  for (const std::string_view part : parts) {
    if (!part.empty()) std::memcpy(to, part.data(), part.size());
    to += part.size();
  }
  return to;
}

// Puts the compressed form of `raw` into `to`; its size, or 0 when it is not smaller.
std::size_t Compress(Compression compression, std::string_view raw, char* to) {
  const std::size_t room = raw.size() - 1;
  if (compression == Compression::kLz4) {
    return static_cast<std::size_t>(LZ4_compress_default(raw.data(), to, static_cast<int>(raw.size()), static_cast<int>(room)));
  }
  const std::size_t size = ZSTD_compress(to, room, raw.data(), raw.size(), kZstdLevel);
  return ZSTD_isError(size) != 0 ? 0 : size;
}

// Turns `count` sizes and the bytes that `at` stands on into views. False when the bytes do not suffice.
bool Slice(const char* sizes, std::uint32_t count, const char*& at, const char* end, std::vector<std::string_view>& out) {
  out.resize(count);
  std::string_view* view = out.data();
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::size_t size = LoadLe<std::uint32_t>(sizes + 4ULL * i);
    if (size > static_cast<std::size_t>(end - at)) return false;
    view[i] = std::string_view(at, size);
    at += size;
  }
  return true;
}

}  // namespace

Result<EncodedBatch> EncodeBatch(const AppendBatch& batch, Compression compression, std::uint64_t bytes_max) {
  SL_TRY(CheckBatch(batch));
  const bool tick = batch.type == BatchType::kTick;
  const std::span<const std::string_view> values = tick ? std::span<const std::string_view>(kTickRecord) : batch.values;
  const std::uint64_t table = 4 * (values.size() + batch.keys.size());
  const std::uint64_t raw = table + SumSizes(values) + SumSizes(batch.keys);
  if (raw + kBatchHeaderSize > std::min<std::uint64_t>(bytes_max, kBatchBytesMax)) {
    return Fail(ErrorKind::kInvalidArgument,
                "a batch of " + std::to_string(raw) + " bytes is over the limit of " + std::to_string(bytes_max) + "; split it");
  }
  EncodedBatch encoded;
  encoded.bytes.resize_and_overwrite(kBatchHeaderSize + raw, [&](char* at, std::size_t size) {
    std::memset(at, 0, kBatchHeaderSize);
    char* to = PutSizes(PutSizes(at + kBatchHeaderSize, values), batch.keys);
    PutParts(PutParts(to, values), batch.keys);
    return size;
  });
  BatchHeader& header = encoded.header;
  if (compression != Compression::kNone && raw > 64) {
    std::string packed(encoded.bytes.size(), '\0');
    const std::string_view content = std::string_view(encoded.bytes).substr(kBatchHeaderSize);
    if (const std::size_t size = Compress(compression, content, packed.data() + kBatchHeaderSize); size > 0) {
      packed.resize(kBatchHeaderSize + size);
      encoded.bytes = std::move(packed);
      header.codec = compression;
    }
  }
  header.size = static_cast<std::uint32_t>(encoded.bytes.size());
  header.type = batch.type;
  header.encoding = batch.encoding;
  header.count = static_cast<std::uint32_t>(values.size());
  header.raw_size = static_cast<std::uint32_t>(raw);
  header.flags = (batch.keys.empty() ? 0 : kBatchHasKeys) | (batch.idempotency ? kBatchHasIdempotency : 0);
  header.producer = batch.producer;
  header.sequence = batch.producer != 0 ? batch.sequence : 0;
  if (batch.idempotency) header.tag = *batch.idempotency;
  encoded.content_crc = Crc32c(std::string_view(encoded.bytes).substr(kBatchHeaderSize));
  return encoded;
}

struct BatchDecoder::Zstd {
  ZSTD_DCtx* context = ZSTD_createDCtx();
  Zstd() = default;
  Zstd(const Zstd&) = delete;
  Zstd& operator=(const Zstd&) = delete;
  ~Zstd() { ZSTD_freeDCtx(context); }
};

BatchDecoder::BatchDecoder() = default;
BatchDecoder::~BatchDecoder() = default;

Result<std::string_view> BatchDecoder::Expand(const BatchHeader& header, std::string_view content) {
  const std::size_t size = header.raw_size;
  // Neither codec expands further than this from what it wrote; a header that says so is a lie, and costs no memory.
  const bool possible = header.codec == Compression::kLz4 ? size <= content.size() * 256 + 64
                                                          : ZSTD_getFrameContentSize(content.data(), content.size()) == size;
  if (!possible) return Fail(ErrorKind::kCorruption, "compressed content of an impossible size");
  if (expanded_.size() < size) expanded_.resize(size);
  std::size_t got = 0;
  if (header.codec == Compression::kLz4) {
    const int made = LZ4_decompress_safe(content.data(), expanded_.data(), static_cast<int>(content.size()), static_cast<int>(size));
    got = made < 0 ? size + 1 : static_cast<std::size_t>(made);
  } else {
    if (!zstd_) zstd_ = std::make_unique<Zstd>();
    got = ZSTD_decompressDCtx(zstd_->context, expanded_.data(), size, content.data(), content.size());
  }
  if (got != size) return Fail(ErrorKind::kCorruption, "compressed content that does not expand");
  return std::string_view(expanded_.data(), size);
}

Status BatchDecoder::Decode(const BatchHeader& header, std::string_view content) {
  std::string_view raw = content;
  if (header.codec != Compression::kNone) {
    SL_ASSIGN_OR_RETURN(raw, Expand(header, content));
  }
  const std::uint64_t tables = header.has_keys() ? 2 : 1;
  if (raw.size() != header.raw_size || raw.size() < tables * 4 * header.count) {
    return Fail(ErrorKind::kCorruption, "record sizes that do not fit the batch");
  }
  const char* sizes = raw.data();
  const char* at = sizes + tables * 4 * header.count;
  const char* end = raw.data() + raw.size();
  keys_.clear();
  bool whole = Slice(sizes, header.count, at, end, values_);
  if (whole && header.has_keys()) whole = Slice(sizes + 4ULL * header.count, header.count, at, end, keys_);
  if (!whole || at != end) return Fail(ErrorKind::kCorruption, "record sizes that do not fit the batch");
  return {};
}

}  // namespace sightline::bus
