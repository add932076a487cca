#include "sightline/bus/testing/simulated_log.h"
#include "tests/scenario/ground.h"

namespace sightline::scenario {
namespace {

constexpr std::uint64_t kSeed = 7;

class SimulatedGround final : public Ground {
 public:
  SimulatedGround() : log_(kSeed) { log_.clock.Jump(std::chrono::milliseconds(-log_.clock.Now().value)); }

  Status Open() override { return log_.Open(); }
  void CutPower() override {
    // Time enough for a snapshot now and then; the wall clock does not notice.
    log_.clock.Advance(std::chrono::seconds(4));
    log_.clock.Jump(std::chrono::seconds(-4));
    log_.files.CutPower();
  }
  void PowerCycle() override { log_.PowerCycle(); }
  bus::Bus& bus() override { return *log_.bus; }
  runtime::Runtime runtime() override { return log_.runtime; }
  Status Append(const TopicPartition& to, const bus::AppendBatch& batch, std::int64_t at) override {
    const std::chrono::milliseconds passed(at - log_.clock.Now().value);
    if (passed.count() >= 0) {
      log_.clock.Advance(passed);
    } else {
      log_.clock.Jump(passed);
    }
    const Result<bus::Appended> appended = bus::AppendAndWait(*log_.bus, to, batch);
    return appended ? Status() : std::unexpected(appended.error());
  }

 private:
  bus::testing::SimulatedLog log_;
};

}  // namespace

std::unique_ptr<Ground> MakeSimulatedGround() { return std::make_unique<SimulatedGround>(); }

}  // namespace sightline::scenario
