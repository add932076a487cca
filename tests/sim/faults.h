#pragma once

#include "sightline/runtime/random.h"
#include "tests/sim/world.h"

namespace sightline::sim {

// What goes wrong in the machine: the power at any change of the disk, syncs and writes that fail, a full disk, failpoints, clocks that
// are set, rotten bytes.
class Faults {
 public:
  Faults(World& world, const Scenario& scenario, Trace& trace, runtime::Random& random)
      : world_(world), scenario_(scenario), trace_(trace), random_(random) {}

  // Perhaps arms something; called once a step.
  void Perhaps();
  // Cuts the power within the next changes, so that a start is interrupted too.
  void CutPowerSoon();
  // Between two processes: flips bits of what was durable. False when there was nothing fit for it.
  bool RotBytes();

 private:
  void FailSyncs();
  void FailWrites();
  void FillDisk();
  void ArmFailpoint();
  void SetClock();
  std::string SomePlace();
  std::uint64_t UsedBytes(const std::string& directory);
  std::vector<runtime::FileInfo> Files(const std::string& directory);
  bool RotJournal(const std::string& directory);
  bool RotLog(const std::string& directory);
  bool Rot(const std::string& path, std::uint64_t from, std::uint64_t to);

  World& world_;
  const Scenario& scenario_;
  Trace& trace_;
  runtime::Random& random_;
};

}  // namespace sightline::sim
