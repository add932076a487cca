#pragma once

#include <vector>

#include "sightline/config/config.h"
#include "sightline/flow/plan.h"
#include "sightline/serve/api/api.h"
#include "sightline/stores/statistics/sql.h"

namespace sightline::app {

// What the API shows of a configuration, for a server and for a look at data without one.
std::vector<serve::PipelineInfo> PipelineInfosOf(const flow::Plan& plan);
stores::SqlOptions SqlOptionsOf(const config::SqlLimits& limits);

}  // namespace sightline::app
