#pragma once

#include <vector>

#include "sightline/config/config.h"

namespace sightline::config {

// What a file must keep to beyond the form of its settings: the contracts load, what is named exists, nothing reads from
// itself, and partitions, keys and addresses fit together. Fills in contracts and defaults that follow from other
// settings. Adds every mistake to `mistakes`.
void CheckSemantics(runtime::FileSystem& files, Config& config, std::vector<Mistake>& mistakes);

}  // namespace sightline::config
