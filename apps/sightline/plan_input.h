#pragma once

#include <vector>

#include "sightline/config/config.h"
#include "sightline/flow/plan.h"
#include "sightline/gate/decoder.h"

namespace sightline::app {

// What the plan compiler needs of a configuration. Points into `config`, which must outlive it and the plan.
flow::PlanInput PlanInputOf(const config::Config& config);

// Compiles the plans of a configuration that has no mistakes of its own; the compiler's problems as mistakes of the file.
std::expected<flow::Plan, std::vector<config::Mistake>> CompilePlans(const config::Config& config);

// What one record may take, for the decoder.
gate::Decoder::Limits DecoderLimitsOf(const config::IngestLimits& limits);

}  // namespace sightline::app
