#pragma once

#include <string>
#include <string_view>

#include "sightline/base/result.h"
#include "sightline/serve/http.h"

namespace sightline::serve {

// A request target in origin form ("/path?query") taken apart. kInvalidArgument for anything else, for bad percent escapes,
// a NUL or another control character, invalid UTF-8, an encoded slash in the path (it would change which route is meant), and
// for more than 200 parameters. Dot segments are refused rather than resolved: no client of ours sends them.
struct Target {
  std::string path;
  Parameters query;
};
Result<Target> ParseTarget(std::string_view target);

// Media type of a Content-Type value: lower case, without parameters.
std::string MediaType(std::string_view content_type);
// Whether an Accept value names the media type itself (wildcards do not count).
bool AcceptNames(std::string_view accept, std::string_view media_type);

}  // namespace sightline::serve
