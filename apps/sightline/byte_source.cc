#include "apps/sightline/byte_source.h"

#include <zlib.h>
#include <zstd.h>

#include <istream>
#include <string_view>
#include <vector>

namespace sightline::app {
namespace {

constexpr std::size_t kChunk = 1U << 20;

class PlainSource final : public ByteSource {
 public:
  PlainSource(std::istream& in, std::uint64_t& consumed) : in_(in), consumed_(consumed) {}
  Result<std::size_t> Read(char* to, std::size_t size) override {
    in_.read(to, static_cast<std::streamsize>(size));
    if (in_.bad()) return Fail(ErrorKind::kIo, "reading the input failed");
    const auto got = static_cast<std::size_t>(in_.gcount());
    consumed_ += got;
    return got;
  }

 private:
  std::istream& in_;
  std::uint64_t& consumed_;
};

// Members of a gzip file follow each other, as `cat a.gz b.gz` makes them.
class GzipSource final : public ByteSource {
 public:
  GzipSource(std::istream& in, std::uint64_t& consumed) : plain_(in, consumed), chunk_(kChunk) {
    constexpr int kGzipWindow = 15 + 16;
    ready_ = inflateInit2(&stream_, kGzipWindow) == Z_OK;
  }
  ~GzipSource() override { inflateEnd(&stream_); }
  Result<std::size_t> Read(char* to, std::size_t size) override {
    if (!ready_) return Fail(ErrorKind::kInternal, "zlib could not be set up");
    stream_.next_out = reinterpret_cast<Bytef*>(to);
    stream_.avail_out = static_cast<uInt>(size);
    while (stream_.avail_out == size) {
      if (stream_.avail_in == 0) {
        SL_ASSIGN_OR_RETURN(const std::size_t got, plain_.Read(chunk_.data(), chunk_.size()));
        if (got == 0) {
          if (inside_) return Fail(ErrorKind::kCorruption, "the gzip input ends in its middle");
          return std::size_t{0};
        }
        stream_.next_in = reinterpret_cast<Bytef*>(chunk_.data());
        stream_.avail_in = static_cast<uInt>(got);
      }
      inside_ = true;
      const int result = inflate(&stream_, Z_NO_FLUSH);
      if (result == Z_STREAM_END) {
        inside_ = false;
        inflateReset(&stream_);
      } else if (result != Z_OK && result != Z_BUF_ERROR) {
        return Fail(ErrorKind::kCorruption, "the gzip input is damaged: " + std::string(stream_.msg == nullptr ? "unknown" : stream_.msg));
      }
    }
    return size - stream_.avail_out;
  }

 private:
  PlainSource plain_;
  std::vector<char> chunk_;
  z_stream stream_{};
  bool ready_ = false;
  bool inside_ = false;
};

class ZstdSource final : public ByteSource {
 public:
  ZstdSource(std::istream& in, std::uint64_t& consumed) : plain_(in, consumed), chunk_(kChunk), stream_(ZSTD_createDStream()) {}
  ~ZstdSource() override { ZSTD_freeDStream(stream_); }
  ZstdSource(const ZstdSource&) = delete;
  ZstdSource& operator=(const ZstdSource&) = delete;
  Result<std::size_t> Read(char* to, std::size_t size) override {
    ZSTD_outBuffer out{to, size, 0};
    while (out.pos == 0) {
      if (in_.pos == in_.size) {
        SL_ASSIGN_OR_RETURN(const std::size_t got, plain_.Read(chunk_.data(), chunk_.size()));
        if (got == 0) {
          if (left_ != 0) return Fail(ErrorKind::kCorruption, "the zstd input ends in its middle");
          return std::size_t{0};
        }
        in_ = {chunk_.data(), got, 0};
      }
      left_ = ZSTD_decompressStream(stream_, &out, &in_);
      if (ZSTD_isError(left_) != 0)
        return Fail(ErrorKind::kCorruption, "the zstd input is damaged: " + std::string(ZSTD_getErrorName(left_)));
    }
    return out.pos;
  }

 private:
  PlainSource plain_;
  std::vector<char> chunk_;
  ZSTD_DStream* stream_;
  ZSTD_inBuffer in_{nullptr, 0, 0};
  std::size_t left_ = 0;
};

}  // namespace

Packing PackingOf(std::string_view first_bytes) {
  if (first_bytes.starts_with("\x1f\x8b")) return Packing::kGzip;
  if (first_bytes.starts_with("\x28\xb5\x2f\xfd")) return Packing::kZstd;
  return Packing::kNone;
}

std::unique_ptr<ByteSource> OpenByteSource(std::istream& in, Packing packing, std::uint64_t& consumed) {
  switch (packing) {
    case Packing::kGzip: return std::make_unique<GzipSource>(in, consumed);
    case Packing::kZstd: return std::make_unique<ZstdSource>(in, consumed);
    case Packing::kNone: break;
  }
  return std::make_unique<PlainSource>(in, consumed);
}

}  // namespace sightline::app
