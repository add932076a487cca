#pragma once

#include <string>
#include <string_view>

#include "sightline/gate/decoder.h"

namespace sightline::gate {

// Judges a JSON record a second time, by simdjson's DOM and a plain reading of the contract's rules, and compares with what the
// decoder said. Empty when they agree, else what differs. simdjson cannot tell everything: it lets repeated names pass (looked for in
// its tree), refuses numbers beyond 64 bits as it refuses broken ones (nothing is compared then), and has other limits.
std::string DisagreementWithSimdjson(const governance::Contract& contract, std::string_view record);

}  // namespace sightline::gate
