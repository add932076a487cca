// The conformance suite on the embedded log: real files with its threads, simulated files stepped inline.
#include <filesystem>

#include "sightline/bus/embedded/log_bus.h"
#include "sightline/bus/testing/conformance.h"
#include "sightline/runtime/posix_file_system.h"
#include "sightline/runtime/simulated/simulated_clock.h"
#include "sightline/runtime/simulated/simulated_file_system.h"

namespace sightline::bus::testing {
namespace {

std::unique_ptr<LogBus> MustOpen(const runtime::Runtime& runtime, const std::string& data, const LogBus::Options& options) {
  auto bus = LogBus::Open(runtime, data, options);
  EXPECT_TRUE(bus) << bus.error().ToString();
  return bus ? std::move(*bus) : nullptr;
}

class FilesHarness final : public BusHarness {
 public:
  FilesHarness() {
    std::string pattern = std::filesystem::temp_directory_path() / "log_bus_test.XXXXXX";
    EXPECT_NE(mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
    bus_ = MustOpen(runtime_, directory_, options_);
  }
  ~FilesHarness() override {
    bus_.reset();
    std::filesystem::remove_all(directory_);
  }
  Bus& bus() override { return *bus_; }
  void Reopen() override {
    bus_.reset();
    bus_ = MustOpen(runtime_, directory_, options_);
  }
  bool Advance(std::chrono::milliseconds by) override {
    clock_.Advance(by);
    return true;
  }
  bool ApplyRetention() override { return bus_->ApplyRetention(clock_.Now()).has_value(); }

 private:
  runtime::SimulatedClock clock_;
  runtime::PosixFileSystem files_;
  runtime::Failpoints failpoints_;
  runtime::Runtime runtime_{clock_, files_, failpoints_};
  LogBus::Options options_;
  std::string directory_;
  std::unique_ptr<LogBus> bus_;
};

class SimulatedHarness final : public BusHarness {
 public:
  SimulatedHarness() : files_(42) { Open(); }
  Bus& bus() override { return *bus_; }
  void Reopen() override {
    bus_.reset();
    Open();
  }
  bool Crash() override {
    files_.CutPower();
    bus_.reset();
    files_.Restart();
    Open();
    return true;
  }
  bool Advance(std::chrono::milliseconds by) override {
    clock_.Advance(by);
    return true;
  }
  bool ApplyRetention() override { return bus_->ApplyRetention(clock_.Now()).has_value(); }

 private:
  void Open() { bus_ = MustOpen(runtime_, "/data", {.flushing = LogBus::Flushing::kInline, .seed = ++seed_}); }

  runtime::SimulatedClock clock_;
  runtime::SimulatedFileSystem files_;
  runtime::Failpoints failpoints_;
  runtime::Runtime runtime_{clock_, files_, failpoints_};
  std::uint64_t seed_ = 0;
  std::unique_ptr<LogBus> bus_;
};

const auto kCases = ::testing::Values(BusCase{"Files", [] { return std::make_unique<FilesHarness>(); }},
                                      BusCase{"Simulated", [] { return std::make_unique<SimulatedHarness>(); }});
INSTANTIATE_TEST_SUITE_P(LogBus, BusConformance, kCases, BusCaseName);
INSTANTIATE_TEST_SUITE_P(LogBus, RetryConformance, kCases, BusCaseName);
INSTANTIATE_TEST_SUITE_P(LogBus, LogConformance, kCases, BusCaseName);

}  // namespace
}  // namespace sightline::bus::testing
