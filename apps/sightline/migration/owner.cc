#include "apps/sightline/migration/owner.h"

#include <sys/types.h>

#include <cerrno>
#include <chrono>
#include <csignal>

#include "apps/sightline/client.h"
#include "sightline/base/text.h"

namespace sightline::app {
namespace {

constexpr std::chrono::milliseconds kLook{100};
constexpr std::chrono::milliseconds kStopWithin{120'000};
constexpr std::uint64_t kLockMax = 64;

// The process that holds the log's lock, whatever other files say; 0 when none does.
Result<std::int64_t> OwnerOf(const World& world, const std::string& data) {
  const std::string directory = data + "/log";
  SL_ASSIGN_OR_RETURN(const bool there, world.files.Exists(directory));
  if (!there) return 0;
  const auto lock = world.files.Lock(directory);
  if (lock) return 0;
  if (lock.error().kind != ErrorKind::kFailedPrecondition) return std::unexpected(lock.error());
  SL_ASSIGN_OR_RETURN(const std::string text, runtime::ReadFile(world.files, directory + "/lock", kLockMax));
  const auto pid = ParseInt64(text);
  if (pid && *pid > 0) return *pid;
  return std::unexpected(lock.error());
}

}  // namespace

Status CheckUnowned(const World& world, const std::string& data) {
  SL_ASSIGN_OR_RETURN(const std::int64_t owner, OwnerOf(world, data));
  if (owner == 0) return {};
  const auto server = FindServer(world, data);
  const bool serves = server && server->pid == owner;
  return Fail(ErrorKind::kFailedPrecondition,
              (serves ? "a server runs on " + data + " (process " + std::to_string(owner) + " at " + server->url + ")"
                      : data + " is in use by process " + std::to_string(owner)) +
                  ": what it takes in while its data is moved would be left behind; stop it, or call again with --stop, which ends it in "
                  "order. Senders are refused meanwhile and try again");
}

Status StopOwner(const World& world, const std::string& data) {
  SL_ASSIGN_OR_RETURN(const std::int64_t owner, OwnerOf(world, data));
  if (owner == 0) return {};
  const auto server = FindServer(world, data);
  if (!server || server->pid != owner) {
    return Fail(ErrorKind::kFailedPrecondition, data + " is in use by process " + std::to_string(owner) +
                                                    ", which is no server that is up (one that is just starting or stopping, or another "
                                                    "command): wait for its end, and call again");
  }
  if (kill(static_cast<pid_t>(owner), SIGTERM) != 0) {
    return FailErrno("stopping the server on " + data + " (process " + std::to_string(owner) + ")", errno);
  }
  for (std::chrono::milliseconds waited{0}; waited < kStopWithin; waited += kLook) {
    SL_ASSIGN_OR_RETURN(const std::int64_t now, OwnerOf(world, data));
    if (now != owner) return CheckUnowned(world, data);
    world.sleep(kLook);
  }
  return Fail(ErrorKind::kDeadlineExceeded, "the server on " + data + " (process " + std::to_string(owner) +
                                                ") was asked to stop and has not yet: look at its log, and call again when it has ended");
}

}  // namespace sightline::app
