#pragma once

#include "apps/sightline/server/data_plane.h"
#include "sightline/config/config.h"
#include "sightline/serve/api/api.h"

namespace sightline::app {

// Offers dead letters of a pipeline and its dataset again (docs/formats/replay.md): appends them to the dataset's topic and waits until
// the pipeline has taken them. What can't be replayed is refused, each with its reason, and stays a dead letter. One replay at a time.
class Replayer {
 public:
  Replayer(DataPlane& plane, const config::Config& config, const flow::Plan& plan, const runtime::Clock& clock)
      : plane_(plane), config_(config), plan_(plan), clock_(clock) {}
  Result<serve::ReplayAnswer> Replay(const serve::ReplayRequest& request);

 private:
  DataPlane& plane_;
  const config::Config& config_;
  const flow::Plan& plan_;
  const runtime::Clock& clock_;
  std::mutex mutex_;
};

}  // namespace sightline::app
