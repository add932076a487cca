#include "sightline/serve/content_decoder.h"

#include <zlib.h>
#include <zstd.h>

#include <array>
#include <string>

#include "sightline/base/text.h"
#include "sightline/serve/url.h"

namespace sightline::serve {
namespace {

constexpr std::size_t kStep = 64 << 10;
constexpr std::uint64_t kRatioFree = 1 << 20;
// zstd frames may ask for a window of up to 2 GiB; 8 MiB is what every encoder's levels up to 19 need.
constexpr int kZstdWindowLog = 23;

// Counts what goes in and comes out.
class Bounds {
 public:
  explicit Bounds(ContentDecoder::Limits limits) : limits_(limits) {}
  void In(std::size_t bytes) { in_ += bytes; }
  Status Out(std::size_t bytes) {
    out_ += bytes;
    if (out_ > limits_.decoded_bytes_max) {
      return Fail(ErrorKind::kOutOfRange,
                  "the body is larger than the " + FormatBytes(limits_.decoded_bytes_max) + " allowed here; send it in parts");
    }
    if (out_ > kRatioFree && out_ / limits_.ratio_max > in_) {
      return Fail(ErrorKind::kOutOfRange, "the body expands by more than a factor of " + std::to_string(limits_.ratio_max));
    }
    return {};
  }

 private:
  ContentDecoder::Limits limits_;
  std::uint64_t in_ = 0;
  std::uint64_t out_ = 0;
};

class IdentityDecoder final : public ContentDecoder {
 public:
  explicit IdentityDecoder(Limits limits) : bounds_(limits) {}
  Status Write(std::string_view piece, ByteBuffer& to) override {
    bounds_.In(piece.size());
    SL_TRY(bounds_.Out(piece.size()));
    to.Append(piece);
    return {};
  }
  Status Finish() override { return {}; }

 private:
  Bounds bounds_;
};

class GzipDecoder final : public ContentDecoder {
 public:
  explicit GzipDecoder(Limits limits) : bounds_(limits) {}
  ~GzipDecoder() override {
    if (open_) inflateEnd(&z_);
  }
  Status Open() {
    // 15 window bits, and 16 for the gzip wrapper alone.
    if (inflateInit2(&z_, 15 + 16) != Z_OK) return Fail(ErrorKind::kResourceExhausted, "no memory to decode gzip");
    open_ = true;
    return {};
  }
  Status Write(std::string_view piece, ByteBuffer& to) override {
    bounds_.In(piece.size());
    z_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(piece.data()));
    z_.avail_in = static_cast<uInt>(piece.size());
    bool more = !piece.empty();
    while (more) {
      // gzip allows several members one after the other.
      if (at_end_) {
        if (inflateReset(&z_) != Z_OK) return Broken();
        at_end_ = false;
      }
      z_.next_out = reinterpret_cast<Bytef*>(step_.data());
      z_.avail_out = static_cast<uInt>(step_.size());
      const int result = inflate(&z_, Z_NO_FLUSH);
      if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR) return Broken();
      const std::size_t made = step_.size() - z_.avail_out;
      SL_TRY(bounds_.Out(made));
      to.Append(std::string_view(step_.data(), made));
      at_end_ = result == Z_STREAM_END;
      more = z_.avail_in > 0 || (!at_end_ && z_.avail_out == 0);
    }
    return {};
  }
  Status Finish() override {
    if (!at_end_) return Fail(ErrorKind::kInvalidArgument, "the gzip body ends in the middle");
    return {};
  }

 private:
  static std::unexpected<Error> Broken() { return Fail(ErrorKind::kInvalidArgument, "the body is not valid gzip"); }
  Bounds bounds_;
  z_stream z_{};
  bool open_ = false;
  bool at_end_ = false;
  std::array<char, kStep> step_{};
};

class ZstdDecoder final : public ContentDecoder {
 public:
  explicit ZstdDecoder(Limits limits) : bounds_(limits), context_(ZSTD_createDCtx()) {
    if (context_ != nullptr) ZSTD_DCtx_setParameter(context_, ZSTD_d_windowLogMax, kZstdWindowLog);
  }
  ~ZstdDecoder() override { ZSTD_freeDCtx(context_); }
  Status Open() const {
    if (context_ == nullptr) return Fail(ErrorKind::kResourceExhausted, "no memory to decode zstd");
    return {};
  }
  Status Write(std::string_view piece, ByteBuffer& to) override {
    bounds_.In(piece.size());
    ZSTD_inBuffer in{piece.data(), piece.size(), 0};
    bool more = !piece.empty();
    while (more) {
      ZSTD_outBuffer out{step_.data(), step_.size(), 0};
      const std::size_t result = ZSTD_decompressStream(context_, &out, &in);
      if (ZSTD_isError(result))
        return Fail(ErrorKind::kInvalidArgument, std::string("the body is not valid zstd: ") + ZSTD_getErrorName(result));
      SL_TRY(bounds_.Out(out.pos));
      to.Append(std::string_view(step_.data(), out.pos));
      at_end_ = result == 0;
      more = in.pos < in.size || out.pos == out.size;
    }
    return {};
  }
  Status Finish() override {
    if (!at_end_) return Fail(ErrorKind::kInvalidArgument, "the zstd body ends in the middle");
    return {};
  }

 private:
  Bounds bounds_;
  ZSTD_DCtx* context_;
  bool at_end_ = false;
  std::array<char, kStep> step_{};
};

template <typename Decoder>
Result<std::unique_ptr<ContentDecoder>> Opened(ContentDecoder::Limits limits) {
  auto decoder = std::make_unique<Decoder>(limits);
  SL_TRY(decoder->Open());
  return std::unique_ptr<ContentDecoder>(std::move(decoder));
}

}  // namespace

Result<std::unique_ptr<ContentDecoder>> ContentDecoder::Make(std::string_view content_encoding, Limits limits) {
  const std::string encoding = MediaType(content_encoding);
  if (encoding.empty() || encoding == "identity") return std::make_unique<IdentityDecoder>(limits);
  if (encoding == "gzip" || encoding == "x-gzip") return Opened<GzipDecoder>(limits);
  if (encoding == "zstd") return Opened<ZstdDecoder>(limits);
  return Fail(ErrorKind::kInvalidArgument, "the Content-Encoding must be gzip, zstd or none");
}

}  // namespace sightline::serve
