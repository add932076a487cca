#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "sightline/base/result.h"

namespace sightline::bus {

// The frame of the log's small files: CRC-32C of the rest, magic, format version, fields.
std::string SealFile(std::uint32_t magic, std::string_view fields);
// The fields; kCorruption when the file is damaged, of another kind, or of a version that this program does not read.
Result<std::string_view> UnsealFile(std::uint32_t magic, std::string_view file);

}  // namespace sightline::bus
