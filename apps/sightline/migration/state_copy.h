#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "apps/sightline/framework.h"
#include "apps/sightline/migration/source.h"
#include "apps/sightline/migration/target.h"
#include "sightline/flow/offset_map.h"
#include "sightline/flow/recount.h"
#include "sightline/runtime/failpoints.h"

namespace sightline::app {

// The state of one task on both sides.
struct CopiedState {
  std::string pipeline;
  bool merge = false;  // it counts no records
  flow::Counters from;
  flow::Counters to;
  std::uint64_t bytes = 0;  // of its snapshot and dedupe ids
};

// What beside the topics makes a deployment go on where it stopped, once the topics were copied: `maps` says where their records lie now.
// Everything may be called again and comes to the same. All must outlive it. Not thread-safe.
class StateCopy {
 public:
  StateCopy(const Context& context, MigrationSource& from, MigrationTarget& to, const flow::OffsetMaps& maps,
            runtime::Failpoints& failpoints)
      : context_(context), from_(from), to_(to), maps_(maps), failpoints_(failpoints) {}

  // Versions of references, by number, and the objects that references are read from; how many of both.
  Result<std::uint64_t> CopyReferences();
  // The state of every task as of its newest commit, each read back and compared.
  Result<std::vector<CopiedState>> CopyTasks();
  // The positions of consumer groups that are not the pipelines' own; how many.
  Result<std::uint64_t> CopyPositions();
  // Idempotency-Keys of the last 24 hours; how many parts of requests.
  Result<std::uint64_t> CopyRequests();

 private:
  Result<std::optional<CopiedState>> CopyTask(int root, Partition partition);
  Status CheckInstalled(const flow::MovedState& moved, CopiedState& copied, int root);
  Status CopySourceObject(const config::ReferenceConfig& reference, std::uint64_t& copied);

  const Context& context_;
  MigrationSource& from_;
  MigrationTarget& to_;
  const flow::OffsetMaps& maps_;
  runtime::Failpoints& failpoints_;
};

}  // namespace sightline::app
