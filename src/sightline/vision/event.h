#pragma once

#include <cstdint>
#include <string>

#include "sightline/model/time.h"

namespace sightline::vision {

// One record of the dataset camera_events (its contract is in presets/top-items/contracts).
struct DetectionEvent {
  std::int64_t geographical_location_oid = 0;
  std::int64_t video_camera_oid = 0;
  std::int64_t detection_oid = 0;
  std::string item_name;
  EventTime timestamp_detected;
};

// Appends the event as one line of NDJSON, its line feed included.
void AppendNdjson(std::string& out, const DetectionEvent& event);

// Takes the agent's events. Called on the agent's thread, in order of detection; must not block.
class EventSink {
 public:
  virtual ~EventSink() = default;
  virtual void Take(const DetectionEvent& event) = 0;
};

}  // namespace sightline::vision
