#pragma once

#include "sightline/runtime/clock.h"
#include "sightline/runtime/failpoints.h"
#include "sightline/runtime/file_system.h"

namespace sightline::runtime {

// The world a component lives in, handed to its constructor: the real one, or the simulated one. Does not own.
struct Runtime {
  Clock& clock;
  FileSystem& files;
  Failpoints& failpoints;
};

}  // namespace sightline::runtime
