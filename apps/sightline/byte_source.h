#pragma once

#include <cstdint>
#include <iosfwd>
#include <memory>
#include <string>

#include "sightline/base/result.h"

namespace sightline::app {

enum class Packing : std::uint8_t { kNone, kGzip, kZstd };

// By the first bytes of a file.
Packing PackingOf(std::string_view first_bytes);

// Reads bytes from somewhere, unpacked. One thread.
class ByteSource {
 public:
  virtual ~ByteSource() = default;
  // Up to `size` bytes; 0 at the end. kCorruption when the packed form is damaged, kIo.
  virtual Result<std::size_t> Read(char* to, std::size_t size) = 0;
};

// `in` must outlive it. Counts the bytes taken from `in` in `consumed`, for progress.
std::unique_ptr<ByteSource> OpenByteSource(std::istream& in, Packing packing, std::uint64_t& consumed);

}  // namespace sightline::app
