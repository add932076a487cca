#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "apps/sightline/framework.h"
#include "sightline/config/config.h"
#include "sightline/flow/plan.h"
#include "sightline/runtime/failpoints.h"

namespace sightline::app {

// One thing that a migration moves.
struct MovedThing {
  std::string what;  // "topic", "state", "results", "positions", "requests", "reference"
  std::string name;
  std::optional<std::uint64_t> partitions;
  std::optional<std::uint64_t> count;  // records, rows, positions, requests, versions
  std::optional<std::uint64_t> bytes;  // as they lie on disk
};

// What there is to move, without changing anything that stays: asked of the server that owns the directory, or read from it where none
// does. What can only be read from the directory has no figures while a server runs.
Result<std::vector<MovedThing>> TakeInventory(const World& world, const config::Config& config, const flow::Plan& plan,
                                              runtime::Failpoints& failpoints);

}  // namespace sightline::app
