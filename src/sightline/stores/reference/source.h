#pragma once

#include <cstdint>
#include <string>

#include "sightline/base/result.h"
#include "sightline/governance/contract.h"
#include "sightline/model/column_batch.h"
#include "sightline/runtime/file_system.h"

namespace sightline::stores {

// Reads a reference table (Dataset B) from a file, judged row by row against its contract by the gate. By the name's ending:
//   .csv       RFC 4180 with a header; columns by name, an empty field is null; columns the contract does not name are left out
//   .ndjson    an object a line          .json   an array of objects
//   .parquet   columns by name
// kInvalidArgument lists the first rows that break the contract, with file and line; nothing of such a table is used.
Result<ColumnBatch> ReadReference(runtime::FileSystem& files, const std::string& path, const governance::Contract& contract);
// The same for bytes that came from elsewhere; `name`, a path or URL, says by its ending what they are.
Result<ColumnBatch> ParseReference(std::string bytes, const std::string& name, const governance::Contract& contract);

inline constexpr std::uint64_t kReferenceBytesMax = 1ULL << 30;

// The same for rows that come as lines of JSON from `place`: a table of a database.
Result<ColumnBatch> ReadReferenceLines(const std::string& place, const std::string& lines, const governance::Contract& contract);

}  // namespace sightline::stores
