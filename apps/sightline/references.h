#pragma once

#include <map>
#include <string>

#include "sightline/config/config.h"
#include "sightline/flow/committed_partition.h"
#include "sightline/flow/reference_store.h"

namespace sightline::app {

// Reads every reference of the configuration from its source and installs it in the catalog; a changed one becomes a new kept
// version first. Errors name the reference and the place in its file.
Status LoadReferences(const config::Config& config, runtime::FileSystem& files, flow::ReferenceStore& store,
                      flow::ReferenceCatalog& catalog);
// One of them again; the version in effect.
Result<flow::ReferenceHandle> ReloadReference(const config::ReferenceConfig& reference, runtime::FileSystem& files,
                                              flow::ReferenceStore& store, flow::ReferenceCatalog& catalog);
// Kept versions of the plan's references, for input that is processed again. Both must outlive the answer.
flow::ReferenceVersions VersionsOf(flow::ReferenceStore& store, const flow::Plan& plan);

}  // namespace sightline::app
