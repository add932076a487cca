#pragma once

#include <string>
#include <string_view>

#include "sightline/gate/decoder.h"

namespace sightline::gate {

// Parses a Protobuf record a second time, by the Protobuf library with a message type made from the contract (proto3, explicit presence),
// and compares with what the decoder said. Empty when they agree, else what differs. The decoder is stricter by intention: fields of
// another wire type, groups, varints beyond their bits and too many fields are malformed to it alone.
std::string DisagreementWithProtobuf(const governance::Contract& contract, std::string_view record);

}  // namespace sightline::gate
