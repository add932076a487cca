#include "tests/sim/simulation.h"

#include <algorithm>

#include "tests/sim/faults.h"
#include "tests/sim/producers.h"
#include "tests/sim/readers.h"
#include "tests/sim/verify.h"
#include "tests/sim/world.h"

namespace sightline::sim {
namespace {

using std::chrono::milliseconds;

// One run: machine, process, producers, readers and faults, and the order in which they get their turns.
class Simulation {
 public:
  Simulation(const Scenario& scenario, bool verbose)
      : scenario_(scenario),
        trace_(verbose),
        random_(Mix64(scenario.seed)),
        world_(scenario, checks_, trace_),
        producers_(world_, scenario, checks_, trace_, random_),
        sinks_(world_, scenario, checks_, random_),
        faults_(world_, scenario, trace_, random_) {
    for (std::int32_t p = 0; p < scenario.partitions; ++p) inputs_.emplace_back(world_, checks_, TopicPartition{kDataset, Partition(p)});
  }

  Outcome Run() {
    Boot();
    for (std::size_t step = 0; step < scenario_.steps && !checks_.over(); ++step) {
      faults_.Perhaps();
      Step();
      Follow();
      MindTheProcess();
    }
    if (!checks_.over()) ComeToRest();
    if (!checks_.over()) Verification(world_, scenario_, checks_, random_).Run(producers_, sinks_, inputs_);
    // With damage in it, whatever is wrong had to be reported before.
    Outcome outcome{
        .failed = checks_.failed(), .check = checks_.check(), .what = checks_.what(), .reported_damage = checks_.reported_damage()};
    if (outcome.failed && world_.damaged()) outcome.what += " (after bytes were damaged, which nobody reported)";
    outcome.trace = trace_.hash();
    outcome.processes = world_.process();
    for (const Follower& input : inputs_) outcome.records += input.seen().size();
    for (const Sinks::Sink& sink : sinks_.sinks()) outcome.results += sink.rows.size();
    return outcome;
  }

 private:
  void Boot() {
    world_.Boot();
    trace_.Note("boot", static_cast<std::int64_t>(world_.process()), static_cast<std::int64_t>(world_.files.operations()));
    if (checks_.over()) return;
    for (Follower& input : inputs_) {
      if (!scenario_.fsync()) input.ForgetLost();
      const auto seen = static_cast<std::int64_t>(input.seen().size());
      input.Restart(seen);
      input.Recheck();
      const auto info = world_.bus->Describe(kDataset);
      const std::int64_t end = info->partitions[static_cast<std::size_t>(input.from().partition.value)].visible.value;
      if (end < seen) {
        return checks_.Violated("acknowledged", "records of " + std::string(kDataset) + "/" + std::to_string(input.from().partition.value) +
                                                    " from offset " + std::to_string(end) + " to " + std::to_string(seen) +
                                                    " were durable, and are gone");
      }
    }
    sinks_.Restart();
  }

  // What the process does, in any order.
  void Step() {
    const std::uint64_t turn = random_.Below(100);
    if (turn < 20) return producers_.Send();
    if (turn < 40) return DeliverSome();
    if (turn < 52) {
      trace_.Note("flush", static_cast<std::int64_t>(world_.bus->FlushOnce()));
      return;
    }
    if (turn < 76) {
      const std::size_t task = random_.Below(world_.task_count());
      trace_.Note("task", static_cast<std::int64_t>(task));
      world_.StepTask(task, static_cast<int>(1 + random_.Below(10)));
      return;
    }
    if (turn < 84) return sinks_.Step();
    if (turn < 93) return world_.clock.Advance(milliseconds(random_.OneIn(8) ? random_.Below(20'000) : random_.Below(600)));
    if (turn < 96) return world_.Tick();
    if (turn < 97) return Retain();
    if (turn < 98) return world_.ReloadReference(random_.Next());
    if (turn < 99) return world_.CloseTask(random_.Below(world_.task_count()));
    Restart();
  }

  void DeliverSome() {
    for (std::uint64_t n = 1 + random_.Below(3); n > 0; --n) producers_.Deliver();
  }

  void Retain() {
    trace_.Note("retention");
    const Status retained = world_.bus->ApplyRetention(world_.clock.Now());
    if (!retained && !world_.without_power()) world_.Judge("recovery", "retention", retained.error());
  }

  // The test's own readers of the input keep up with what is visible, so that retention takes nothing unseen.
  void Follow() {
    for (Follower& input : inputs_) {
      if (!world_.without_power() && !checks_.over()) input.Read(100'000);
    }
  }

  // A process that lost its power, or has met an error that a restart mends, gives way to the next.
  void MindTheProcess() {
    if (checks_.over()) return;
    if (world_.without_power()) {
      trace_.Note("power is gone");
      world_.PowerLoss();
      return AfterEnd();
    }
    if (world_.troubled() && random_.OneIn(12)) Restart();
  }

  void Restart() {
    const std::uint64_t how = random_.Below(10);
    trace_.Note("end of process", static_cast<std::int64_t>(how));
    if (how < 2) {
      world_.Shutdown();
    } else if (how < 6) {
      world_.Kill();
    } else {
      world_.PowerLoss();
    }
    AfterEnd();
  }

  void AfterEnd() {
    if (!world_.without_power() && random_.OneIn(2)) world_.EndFaults();
    if (world_.without_power()) {
      world_.files.Restart();
      world_.EndFaults();
    }
    if (scenario_.damages && !world_.damaged() && random_.OneIn(3)) faults_.RotBytes();
    if (random_.OneIn(4)) faults_.CutPowerSoon();
    if (!checks_.over()) Boot();
  }

  // The faults are over. Producers get their answers, tasks their input, readers their results; then time passes until all windows are
  // closed.
  void ComeToRest() {
    trace_.Note("rest");
    world_.Kill();
    world_.EndFaults();
    world_.files.CutPowerAfter(UINT64_MAX / 2);
    Boot();
    constexpr int kRounds = 300;
    bool settled = false;
    for (int round = 0; round < kRounds && !settled && !checks_.over(); ++round) {
      settled = producers_.Settle();
      settled = !Work() && settled;
      if (!settled) world_.clock.Advance(milliseconds(round < 20 ? 500 : 10'000));
      Retain();
    }
    if (!settled)
      checks_.Violated("recovery", "with all faults gone, " + std::to_string(producers_.unanswered()) + " posts stay without an answer");
    CloseWindows();
    if (checks_.over()) return;
    if (random_.OneIn(2)) {
      world_.Shutdown();
    } else {
      world_.Kill();
    }
    Boot();
    while (!checks_.over() && Work()) {
    }
  }

  bool Work() {
    world_.bus->FlushOnce();
    Follow();
    bool more = false;
    for (std::size_t task = 0; task < world_.task_count() && !checks_.over(); ++task) more = world_.StepTask(task, 10'000) || more;
    return !checks_.over() && (sinks_.Drain() || more);
  }

  void CloseWindows() {
    constexpr int kRounds = 60;
    const std::int64_t beyond = producers_.newest_event() + 4 * scenario_.model.size + scenario_.model.lateness + 1;
    std::int64_t pause = 15'000;
    for (int round = 0; round < kRounds && !checks_.over(); ++round) {
      bool done = round > 1;
      for (std::size_t task = 0; task + 1 < world_.task_count(); ++task) {
        const std::int64_t watermark = world_.StatusOf(task).watermark;
        done = done && (watermark == kWatermarkNone.value || watermark > beyond);
      }
      if (done) return;
      world_.Tick();
      world_.clock.Advance(milliseconds(pause));
      world_.Tick();
      while (!checks_.over() && Work()) {
      }
      pause = std::min<std::int64_t>(pause * 2, 3'600'000);
    }
    checks_.Violated("recovery", "ticks do not close the windows");
  }

  const Scenario& scenario_;
  Checks checks_;
  Trace trace_;
  runtime::Random random_;
  World world_;
  Producers producers_;
  Sinks sinks_;
  Faults faults_;
  std::vector<Follower> inputs_;
};

}  // namespace

Outcome Simulate(std::uint64_t seed, bool verbose) {
  const auto scenario = Scenario::Draw(seed);
  if (!scenario) return {.failed = true, .check = "scenario", .what = "its pipelines do not compile"};
  return Simulation(*scenario, verbose).Run();
}

}  // namespace sightline::sim
