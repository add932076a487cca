#pragma once

#include <cstdint>
#include <map>
#include <string>

namespace sightline::stores::testing {

// An outside engine by its script in tools/engines, which is found from the folder that tests run in. Stopped and wiped when destroyed.
class Engine {
 public:
  // `environment` goes to every call of the script: ports, above all.
  Engine(std::string name, std::map<std::string, std::string> environment);
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;
  ~Engine();

  // Runs a command of the script; false, with its output in a test failure, when it fails.
  bool Run(const std::string& command);
  bool Start() { return Run("start"); }
  bool Stop() { return Run("stop"); }
  // What a command printed.
  std::string Output(const std::string& command);

 private:
  std::string Line(const std::string& command) const;
  std::string name_;
  std::map<std::string, std::string> environment_;
};

// A port of 127.0.0.1 that nobody listens on now, and the `more` above it neither.
std::uint16_t FreePort(int more = 0);

// A certificate authority and a server certificate for 127.0.0.1 and localhost below `directory`: ca.pem, server.pem, server.key.
enum class Validity : std::uint8_t { kNow, kOver };
void MakeCertificates(const std::string& directory, Validity validity);

// A directory that is gone at the end of the test.
class ScratchDirectory {
 public:
  ScratchDirectory();
  ScratchDirectory(const ScratchDirectory&) = delete;
  ScratchDirectory& operator=(const ScratchDirectory&) = delete;
  ~ScratchDirectory();
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace sightline::stores::testing
