#pragma once

#include <atomic>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>

#include "sightline/runtime/clock.h"
#include "sightline/runtime/posix_file_system.h"

#include "apps/sightline/framework.h"

namespace sightline::app {

// A clock that moves when told to, and when somebody sleeps.
class TestClock final : public runtime::Clock {
 public:
  WallTime Now() const override { return WallTime(1'800'000'000'000 + ns / 1'000'000); }
  std::int64_t MonotonicNs() const override { return ns; }
  std::atomic<std::int64_t> ns = 1;
};

// A world of texts for tests of commands: real files below a directory of its own, no terminal, sleep that takes no time.
struct TestWorld {
  TestWorld() {
    std::string pattern = (std::filesystem::temp_directory_path() / "sightline-app-XXXXXX").string();
    directory = mkdtemp(pattern.data());
  }
  ~TestWorld() { std::filesystem::remove_all(directory); }
  TestWorld(const TestWorld&) = delete;
  TestWorld& operator=(const TestWorld&) = delete;

  std::string Write(const std::string& name, const std::string& text) const {
    const std::string path = directory + "/" + name;
    std::filesystem::create_directories(std::filesystem::path(path).parent_path());
    std::ofstream(path, std::ios::binary) << text;
    return path;
  }

  std::string directory;
  TestClock clock;
  runtime::PosixFileSystem files;
  std::istringstream in;
  std::ostringstream out, err;
  std::map<std::string, std::string> environment;
  std::int64_t slept_ms = 0;
  World world{.clock = clock,
              .files = files,
              .in = in,
              .out = out,
              .err = err,
              .out_is_terminal = false,
              .err_is_terminal = false,
              .environment = [this](const std::string& name) -> std::optional<std::string> {
                const auto found = environment.find(name);
                return found == environment.end() ? std::nullopt : std::optional(found->second);
              },
              .sleep =
                  [this](std::chrono::milliseconds time) {
                    slept_ms += time.count();
                    clock.ns += time.count() * 1'000'000;
                  }};
};

}  // namespace sightline::app
