#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "sightline/config/property.h"
#include "sightline/model/pipeline_spec.h"

namespace sightline::config {

// The table of every setting there is. The root's object is a Config.
const Section& RootSection();

// A step's settings while they are read: one of them is filled in, and MakeStep takes it over.
struct WindowSettings {
  std::chrono::milliseconds tumbling{0};
  std::chrono::milliseconds sliding{0};
  std::chrono::milliseconds every{0};
  std::chrono::milliseconds allowed_lateness{0};
};
struct StepSettings {
  WhereStep where;
  DeriveStep derive;
  DedupeStep dedupe;
  EnrichStep enrich;
  WindowSettings window;
  AggregateStep aggregate;
  RankStep rank;
};
// The kinds of steps: properties of StepSettings.
const Section& StepSection();
// The step of the kind `kind` (a name in StepSection) from its settings.
Step MakeStep(std::string_view kind, StepSettings settings, SourcePlace place);
// The kind of a step ("where") and its settings, for showing them again.
std::pair<std::string_view, StepSettings> SettingsOf(const Step& step);

}  // namespace sightline::config
