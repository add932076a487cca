#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "apps/sightline/framework.h"
#include "sightline/base/result.h"
#include "sightline/config/config.h"
#include "sightline/runtime/file_system.h"
#include "sightline/stores/objects/port.h"

namespace sightline::app {

// What says that a migration has begun or is done, on either side: <data>/migration.json of the deployment that is moved, and the object
// migration.json in the store of the one that it is moved to. Both have one id, so that a migration is only ever continued between the two.
struct MigrationMark {
  enum class State : std::uint8_t {
    kBegun,  // neither may run
    kDone,  // the new one runs alone
  };
  std::string id;
  State state = State::kBegun;
  std::string from;  // configuration files, for people
  std::string to;
  std::string target;  // which engines: TargetName
  std::int64_t at = 0;  // epoch ms of the last change

  std::string ToJson() const;
  // kCorruption when the text is no mark; `where` is for the message.
  static Result<MigrationMark> Parse(const std::string& text, const std::string& where);
};

// "kafka prefix sightline., s3 bucket sightline, postgres schema sightline": what a deployment's data lies in.
std::string TargetName(const config::Config& config);

std::string SourceMarkPath(const std::string& data);
// Nothing where there is none.
Result<std::optional<MigrationMark>> ReadSourceMark(runtime::FileSystem& files, const std::string& data);
Status WriteSourceMark(runtime::FileSystem& files, const std::string& data, const MigrationMark& mark);
Result<std::optional<MigrationMark>> ReadTargetMark(stores::ObjectStore& objects);
// kAlreadyExists when somebody else's migration began there.
Status BeginTargetMark(stores::ObjectStore& objects, const MigrationMark& mark);
Status EndTargetMark(stores::ObjectStore& objects, const MigrationMark& mark);

// Whether a server may run on this configuration: kFailedPrecondition when its data was moved elsewhere, or when data is being moved from
// or to it. The message says what to do.
Status CheckNotMigrating(const World& world, const config::Config& config);

}  // namespace sightline::app
