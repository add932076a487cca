#pragma once

#include <string>

#include "sightline/vision/camera_agent.h"

namespace sightline::vision {

// Saves what the agent saw as DIRECTORY/ROUND-FRAME.jpg: detections thin and white, unconfirmed tracks grey, confirmed ones in a colour of
// their own with their number. For people who tune a camera.
class Annotator final : public AgentObserver {
 public:
  // The directory must exist.
  explicit Annotator(std::string directory) : directory_(std::move(directory)) {}
  // kIo when the picture cannot be written.
  Status Observe(const View& view) override;

 private:
  std::string directory_;
};

}  // namespace sightline::vision
