#pragma once

#include "sightline/governance/contract.h"

namespace sightline::gate {

// The fields of the top-items preset: three identifiers, a name of at most 5000 characters and an event time; Protobuf numbers 1 to 5.
governance::Contract CameraEvents();

// A field of every type under every kind of rule, some of them optional, Protobuf numbers 1 to 9:
//   id int64 required · level int64 1 to 5 · grade int64 one of 10, 20, 30 · ratio double -1 to 1 · seen bool ·
//   code string of 2 to 4 characters · plate string like AB-12 · colour string one of red, green · free string
governance::Contract EveryRule();

}  // namespace sightline::gate
