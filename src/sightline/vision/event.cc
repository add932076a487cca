#include "sightline/vision/event.h"

#include "sightline/base/text.h"

namespace sightline::vision {

void AppendNdjson(std::string& out, const DetectionEvent& event) {
  out += "{\"geographical_location_oid\":";
  out += std::to_string(event.geographical_location_oid);
  out += ",\"video_camera_oid\":";
  out += std::to_string(event.video_camera_oid);
  out += ",\"detection_oid\":";
  out += std::to_string(event.detection_oid);
  out += ",\"item_name\":";
  AppendJsonString(out, event.item_name);
  out += ",\"timestamp_detected\":";
  out += std::to_string(event.timestamp_detected.value);
  out += "}\n";
}

}  // namespace sightline::vision
