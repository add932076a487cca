#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "sightline/bus/port.h"
#include "sightline/flow/task.h"
#include "sightline/flow/testing/fixture.h"
#include "sightline/runtime/random.h"

namespace sightline::sim {

// What one seed decides before anything happens: the dataset, the pipelines, the topics' settings, how rough the run gets.
//
// The pipelines are those of the preset: item_counts (a root on camera_events, joined with locations), top_items (fused with
// it) and top_items_overall (a merge over all partitions of item_counts).
struct Scenario {
  std::uint64_t seed = 0;
  std::int32_t partitions = 1;
  flow::testing::NaiveModel::Settings model;
  std::int64_t disorder = 0;           // ms that events come late, up to
  bool filters = false;
  bool damages = false;                // bytes rot once
  bool faults = true;                  // I/O errors, full disks, failpoints
  std::size_t steps = 0;
  std::int64_t locations = 1;
  bus::TopicSpec input;
  bus::TopicSpec owned;
  flow::CommitPolicy policy;
  std::unique_ptr<flow::testing::TopItems> system;

  const flow::Plan& plan() const { return *system->plan; }
  bool fsync() const { return input.durability == bus::Durability::kFsync; }
  Schema reference_schema() const { return system->input.references[0].schema; }

  // The same seed gives the same scenario. Null when the plan does not compile, which is a mistake in here.
  static std::unique_ptr<Scenario> Draw(std::uint64_t seed);
};

inline constexpr const char* kDataset = "camera_events";
inline constexpr const char* kReference = "locations";
inline constexpr const char* kFilteredItem = "leaf";

}  // namespace sightline::sim
