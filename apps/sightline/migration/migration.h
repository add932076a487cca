#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "apps/sightline/examination.h"
#include "apps/sightline/framework.h"
#include "apps/sightline/migration/differences.h"
#include "apps/sightline/migration/inventory.h"
#include "sightline/config/config.h"

namespace sightline::app {

// One comparison of both sides at the end of a migration.
struct ComparedThing {
  std::string what;  // "topic", "verdicts", "results" …
  std::string name;
  std::uint64_t from = 0;
  std::uint64_t to = 0;
  bool same = false;  // and not only as many
};

struct MigrationReport {
  std::string id;
  bool before = false;  // an earlier call had finished it: nothing was compared now
  std::vector<ComparedThing> compared;
  bool holds() const;
};

// What a migration would do, and whether it could.
struct MigrationOutlook {
  std::vector<MovedThing> moves;
  std::vector<Finding> target;          // what `doctor` says of it
  std::vector<std::string> in_the_way;  // what keeps it from beginning
  std::vector<std::string> notes;       // what to know before
};

// Whether a deployment on one machine can be moved from one configuration to the other at all: kInvalidArgument, naming the settings.
Status CheckMigratable(runtime::FileSystem& files, const config::Config& from, const config::Config& to);

// Looks, and changes nothing on either side.
Result<MigrationOutlook> LookAhead(const Context& context, const config::Config& from, const config::Config& to);

// What to do with a server that runs on the old data.
enum class OldServer : std::uint8_t { kRefuse, kStop };

// Moves everything, or goes on with what an earlier call began, and compares both sides. Steps, each of which may be repeated:
//   the new engines are examined; the old server ends; both sides are marked; topics are copied and compared; references, states,
//   positions, results and Idempotency-Keys follow; the results are compared; both sides are marked as done.
// Of the old data nothing is changed but the mark.
Result<MigrationReport> Migrate(const Context& context, const config::Config& from, const config::Config& to, OldServer old_server);

}  // namespace sightline::app
