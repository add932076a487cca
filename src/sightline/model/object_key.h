#pragma once

#include <string_view>

#include "sightline/base/result.h"

namespace sightline {

// A key is valid UTF-8 of 1 to 1024 bytes: segments of 1 to 255 bytes between '/', none of them "." or ".." nor beginning with
// ".sightline"; no control characters, no '\'. What a service allows beyond that is not portable. kInvalidArgument says what is wrong.
Status ValidateObjectKey(std::string_view key);
// The beginning of a key: the last segment may be empty or cut.
Status ValidateObjectKeyPrefix(std::string_view prefix);

}  // namespace sightline
