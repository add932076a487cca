#pragma once

#include <string_view>

namespace sightline {

// Whether `text` is what `pattern` says as a whole: '*' stands for any bytes, also none, everything else for itself. Takes time in
// proportion to the product of both lengths at most.
bool MatchesGlob(std::string_view pattern, std::string_view text);

}  // namespace sightline
