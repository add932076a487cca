#pragma once

#include <string_view>
#include <vector>

#include "sightline/base/result.h"

namespace sightline::ingest {

// Takes a JSON body apart into its records: the elements of an array, or the one value that it is. Only the outer structure is
// looked at; whether a record is valid is the decoder's to say. kInvalidArgument, with the position, when there is no way to
// tell where a record ends; kOutOfRange beyond `records_max`.
Status SplitJson(std::string_view body, std::size_t records_max, std::vector<std::string_view>& records);

// Takes a sequence of varint-length-delimited Protobuf messages apart. Errors as above.
Status SplitDelimited(std::string_view body, std::size_t records_max, std::vector<std::string_view>& records);

}  // namespace sightline::ingest
