#pragma once

#include <string>
#include <vector>

#include "sightline/config/config.h"
#include "sightline/runtime/file_system.h"

namespace sightline::app {

// A setting that is another in two configurations which must mean the same.
struct Difference {
  std::string path;
  std::string from;  // as written, with the place; "not set"
  std::string to;
  // "checkpoint.interval: 1s (a.yaml:12), 2s (b.yaml:14)"
  std::string ToString() const;
};

// What differs beside `drivers`, `data` and `listen`, in the order of the configuration. Contracts and reference files may lie elsewhere as
// long as they hold the same.
std::vector<Difference> DifferencesOf(runtime::FileSystem& files, const config::Config& from, const config::Config& to);

}  // namespace sightline::app
