#pragma once

#include <string>

#include "connectors/postgres/connection_options.h"
#include "sightline/base/result.h"

namespace sightline::postgres::testing {

// A Postgres server of the test's own, started by tools/engines/postgres on a free port and wiped at the end. Runs in the repository's
// root, as ctest does. Not thread-safe.
class Server {
 public:
  enum class Tls { kOff, kOn, kExpired };
  // Throws what a test cannot go on without.
  explicit Server(Tls tls = Tls::kOff, std::string options = "-c fsync=off");
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  void Start();
  void Stop() { Run("stop"); }
  void Kill() { Run("kill"); }  // SIGKILL
  void Pause() { Run("pause"); }
  void Resume() { Run("resume"); }
  // Runs SQL as the superuser; what psql prints, unaligned.
  std::string Psql(const std::string& sql, const std::string& database = "lab") const;
  // The connection of a user, of the superuser when there is none.
  ConnectionOptions Connection(const std::string& database = "lab", const std::string& user = "", const std::string& password = "") const;
  const std::string& folder() const { return folder_; }
  int port() const { return port_; }
  // Options of the next start: "-c fsync=off".
  void SetOptions(std::string options) { options_ = std::move(options); }

 private:
  std::string Run(const std::string& arguments) const;
  int port_ = 0;
  Tls tls_;
  std::string options_;
  std::string folder_;
};

// One for the whole program, shared by tests that leave it as it was.
Server& SharedServer();
// A new empty database there.
std::string FreshDatabase(Server& server);

}  // namespace sightline::postgres::testing
