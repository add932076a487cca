#include "sightline/bus/embedded/sealed_file.h"

#include "sightline/base/bytes.h"
#include "sightline/base/hash.h"
#include "sightline/bus/embedded/format.h"

namespace sightline::bus {

std::string SealFile(std::uint32_t magic, std::string_view fields) {
  std::string body;
  ByteWriter out(body);
  out.Put(magic);
  out.Put(static_cast<std::uint32_t>(kFormatVersion));
  out.PutBytes(fields);
  std::string file;
  ByteWriter(file).Put(Crc32c(body));
  return file + body;
}

Result<std::string_view> UnsealFile(std::uint32_t magic, std::string_view file) {
  ByteReader in(file);
  const auto crc = in.Get<std::uint32_t>();
  const std::string_view body(in.position(), in.remaining());
  const auto found = in.Get<std::uint32_t>();
  const auto version = in.Get<std::uint32_t>();
  if (!in.ok() || Crc32c(body) != crc || found != magic) return Fail(ErrorKind::kCorruption, "the file is damaged");
  if (version != kFormatVersion) {
    return Fail(ErrorKind::kCorruption,
                "the file has format version " + std::to_string(version) + "; this program reads " + std::to_string(kFormatVersion));
  }
  return std::string_view(in.position(), in.remaining());
}

}  // namespace sightline::bus
