#pragma once

#include <string>
#include <string_view>

#include "sightline/base/result.h"

namespace sightline::app {

// What one server process does. On one machine it does everything; where the bus is one that processes share, the roles may lie in
// several, each as often as is needed.
struct Roles {
  bool ingest = true;  // takes in events over HTTP
  bool gate = true;    // judges the topics of others
  bool flow = true;    // runs pipelines and brings their results into the stores
  bool serve = true;   // answers questions: API, live views, dashboard

  bool all() const { return ingest && gate && flow && serve; }
  // "ingest,serve"
  std::string ToString() const;
  friend bool operator==(const Roles&, const Roles&) = default;
};

// "flow" or "ingest,gate"; empty: all. kInvalidArgument.
Result<Roles> ParseRoles(std::string_view text);

}  // namespace sightline::app
