#include "apps/sightline/fleet.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "sightline/base/hash.h"
#include "sightline/base/text.h"

namespace sightline::app {
namespace {

constexpr std::size_t kItems = 200;
constexpr std::size_t kRecent = 20'000;
constexpr double kItemSkew = 1.1;
constexpr double kLocationSkew = 0.8;
constexpr std::int64_t kHourMs = 3'600'000;
constexpr const char* kItemNames[] = {"person",   "car",      "bicycle",    "dog",    "bag",      "truck",  "bus",
                                      "umbrella", "cat",      "motorcycle", "bottle", "chair",    "phone",  "laptop",
                                      "knife",    "suitcase", "hat",        "bird",   "stroller", "scooter"};

std::vector<double> ZipfWeights(std::size_t count, double skew) {
  std::vector<double> cumulated(count);
  double sum = 0;
  for (std::size_t i = 0; i < count; ++i) cumulated[i] = sum += 1 / std::pow(static_cast<double>(i + 1), skew);
  for (double& weight : cumulated) weight /= sum;
  return cumulated;
}

void AppendNumber(std::int64_t number, std::string& out) {
  char digits[24];
  const auto end = std::to_chars(digits, digits + sizeof digits, number).ptr;
  out.append(digits, end);
}

}  // namespace

Fleet::Fleet(FleetOptions options)
    : options_(options),
      random_(options.seed),
      location_weights_(ZipfWeights(static_cast<std::size_t>(std::max<std::int64_t>(options.locations, 1)), kLocationSkew)),
      item_weights_(ZipfWeights(kItems, kItemSkew)),
      id_base_(Mix64(options.seed)) {
  options_.cameras = std::max<std::int64_t>(options_.cameras, 1);
  for (std::size_t i = 0; i < kItems; ++i) {
    // Written as a JSON text once, quotes included.
    std::string& item = items_.emplace_back();
    AppendJsonString(item, i < std::size(kItemNames) ? kItemNames[i] : "item-" + std::to_string(i));
  }
  recent_.reserve(kRecent);
}

std::size_t Fleet::Draw(const std::vector<double>& cumulated) {
  const auto found = std::ranges::lower_bound(cumulated, random_.Unit());
  return std::min(static_cast<std::size_t>(found - cumulated.begin()), cumulated.size() - 1);
}

void Fleet::AppendLine(const Detection& detection, std::string& out) const {
  out += "{\"geographical_location_oid\":";
  AppendNumber(detection.location, out);
  out += ",\"video_camera_oid\":";
  AppendNumber(detection.camera, out);
  out += ",\"detection_oid\":";
  AppendNumber(detection.id, out);
  out += ",\"item_name\":";
  out += items_[detection.item];
  out += ",\"timestamp_detected\":";
  AppendNumber(detection.time, out);
  out += "}\n";
}

void Fleet::Append(std::int64_t now_ms, std::uint64_t events, std::string& out) {
  // An odd stride visits every 63-bit number once before it repeats.
  constexpr std::uint64_t kStride = 2654435761;
  constexpr std::uint64_t kIdMask = (1ULL << 63) - 1;
  constexpr std::size_t kBrokenBytes = 37;
  for (std::uint64_t i = 0; i < events; ++i) {
    Detection detection;
    if (!recent_.empty() && random_.Unit() < options_.duplicates) {
      detection = recent_[random_.Below(recent_.size())];
      ++made_.duplicates;
    } else {
      detection.location = static_cast<std::int64_t>(Draw(location_weights_));
      detection.camera =
          detection.location * options_.cameras + static_cast<std::int64_t>(random_.Below(static_cast<std::uint64_t>(options_.cameras)));
      detection.item = Draw(item_weights_);
      detection.id = static_cast<std::int64_t>((id_base_ + made_.events * kStride) & kIdMask);
      detection.time = now_ms;
      if (options_.disorder_ms > 0 && random_.Unit() < options_.disorder) {
        detection.time -= static_cast<std::int64_t>(random_.Below(static_cast<std::uint64_t>(options_.disorder_ms)));
        ++made_.disordered;
      }
      if (random_.Unit() < options_.late) {
        detection.time -= kHourMs + static_cast<std::int64_t>(random_.Below(kHourMs));
        ++made_.late;
      }
      if (recent_.size() < kRecent) {
        recent_.push_back(detection);
      } else {
        recent_[next_recent_++ % kRecent] = detection;
      }
    }
    const std::size_t begin = out.size();
    AppendLine(detection, out);
    if (random_.Unit() < options_.broken) {
      out.resize(begin + kBrokenBytes);
      out += '\n';
      ++made_.broken;
    }
    ++made_.events;
  }
}

}  // namespace sightline::app
