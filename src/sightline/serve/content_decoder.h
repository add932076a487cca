#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "sightline/base/result.h"
#include "sightline/serve/byte_buffer.h"

namespace sightline::serve {

// Undoes the Content-Encoding of a request's body as its pieces arrive, so that the compressed form is never held. Bounded
// against bombs twice: by the decoded bytes, and by the ratio, so that a small request cannot make much work. Not thread-safe.
class ContentDecoder {
 public:
  struct Limits {
    std::uint64_t decoded_bytes_max = 0;
    // Decoded bytes per encoded byte, once more than 1 MiB was decoded. Event lines compress by 10 to 40.
    std::uint64_t ratio_max = 200;
  };
  virtual ~ContentDecoder() = default;
  // Takes the next piece. kOutOfRange when a limit is passed, kInvalidArgument when the bytes are not what they claim to be.
  virtual Status Write(std::string_view piece, ByteBuffer& to) = 0;
  // At the end of the body. kInvalidArgument when the encoded form is incomplete.
  virtual Status Finish() = 0;

  // For "", "identity", "gzip", "x-gzip" and "zstd"; kInvalidArgument for others.
  static Result<std::unique_ptr<ContentDecoder>> Make(std::string_view content_encoding, Limits limits);
};

}  // namespace sightline::serve
