#pragma once

#include <map>
#include <string>

#include "sightline/config/config.h"
#include "sightline/flow/reference_store.h"

namespace sightline::app {

// Reads every reference of the configuration from its source and installs it in the catalog; a changed one becomes a new kept
// version first. Errors name the reference and the place in its file.
Status LoadReferences(const config::Config& config, runtime::FileSystem& files, flow::ReferenceStore& store,
                      flow::ReferenceCatalog& catalog);
// One of them again; the version in effect.
Result<flow::ReferenceHandle> ReloadReference(const config::ReferenceConfig& reference, runtime::FileSystem& files,
                                              flow::ReferenceStore& store, flow::ReferenceCatalog& catalog);

}  // namespace sightline::app
