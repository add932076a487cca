#pragma once

#include <memory>
#include <string>

#include "sightline/bus/embedded/log_bus.h"
#include "sightline/runtime/simulated/simulated_clock.h"
#include "sightline/runtime/simulated/simulated_file_system.h"

namespace sightline::bus::testing {

// An embedded log on a simulated disk and clock, for tests that need a bus whose disk can be made to fail. One thread
// steps it; the same seed gives the same course.
struct SimulatedLog {
  explicit SimulatedLog(std::uint64_t seed, LogBus::Options options_for_bus = {.flushing = LogBus::Flushing::kInline})
      : files(seed), options(options_for_bus) {
    options.seed = seed * 1'000'003 + 1;
  }

  // Opens the bus; what it found stands in bus->recovered().
  Status Open() {
    bus.reset();
    ++options.seed;
    SL_ASSIGN_OR_RETURN(bus, LogBus::Open(runtime, kData, options));
    return {};
  }
  // The power fails (unless it did) and comes back; the bus is closed.
  void PowerCycle() {
    files.CutPower();
    bus.reset();
    files.Restart();
  }
  // The process dies, the machine lives on; the bus is closed.
  void Kill() {
    files.KillProcess();
    bus.reset();
  }
  // Files of a partition whose names end so, in order.
  std::vector<std::string> FilesOf(const std::string& topic, int partition, std::string_view ending) {
    std::vector<std::string> paths;
    const std::string directory = DirectoryOf(topic, partition);
    for (const runtime::FileInfo& file : files.List(directory).value_or(std::vector<runtime::FileInfo>())) {
      if (file.name.ends_with(ending)) paths.push_back(directory + "/" + file.name);
    }
    return paths;
  }
  static std::string DirectoryOf(const std::string& topic, int partition) {
    return std::string(kData) + "/log/topics/" + topic + "/" + std::to_string(partition);
  }

  static constexpr const char* kData = "/data";
  runtime::SimulatedClock clock;
  runtime::SimulatedFileSystem files;
  runtime::Failpoints failpoints;
  runtime::Runtime runtime{clock, files, failpoints};
  LogBus::Options options;
  std::unique_ptr<LogBus> bus;
};

}  // namespace sightline::bus::testing
