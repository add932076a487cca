#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "apps/sightline/framework.h"
#include "apps/sightline/objects.h"

namespace sightline::app {

enum class Health : std::uint8_t { kGood, kWarning, kProblem };

struct Finding {
  std::string name;  // "free space"
  Health health = Health::kGood;
  std::string found;   // what is
  std::string remedy;  // what to do; empty when nothing is
};

// What `sightline doctor` looks at. Each looks at one thing and changes nothing that stays, but that looking into a log brings it into
// order after a crash, as the next start would.
Finding ExamineDirectory(const World& world, const std::string& data);
Finding ExamineFileSystemType(const std::string& data);
Finding ExamineFreeSpace(const World& world, const std::string& data);
// How long the disk takes to make a small write durable: what an acknowledgement under `fsync` waits for.
Finding ExamineFlush(const World& world, const std::string& data);
Finding ExamineReference(const World& world, const config::ReferenceConfig& reference, Objects& objects);
// The object store: reachable, what may be done there (by an object of its own, which is deleted again), clocks. Local files that a
// running server owns are left alone.
std::vector<Finding> ExamineObjects(const World& world, const config::Config& config, bool server_running);
// Damage in the log of a directory that no server owns.
Finding ExamineLog(const Context& context, const std::string& data);
Finding ExamineClock(const World& world);
Finding ExamineOpenFiles(std::int64_t connections);
Finding ExamineProcessor();
Finding ExamineMemory(std::uint64_t wanted_bytes);
Finding ExamineHugePages(const World& world);
// `what` is "listen.http"; a port that our own server of this data directory holds is good.
Finding ExaminePort(const std::string& what, const config::Endpoint& endpoint, bool own_server_runs);
// A file that only its owner may read, such as the admin token.
Finding ExamineSecretFile(const std::string& name, const std::string& path);

}  // namespace sightline::app
