#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "sightline/bus/embedded/log_bus.h"
#include "sightline/flow/engine.h"
#include "sightline/flow/reference_store.h"
#include "sightline/flow/task.h"
#include "sightline/runtime/simulated/simulated_clock.h"
#include "sightline/runtime/simulated/simulated_file_system.h"
#include "tests/sim/checks.h"
#include "tests/sim/scenario.h"

namespace sightline::sim {

// The machine (disk and clock) and the one process on it that holds log, tasks and references: all shipped code, stepped by one
// thread. A process ends by Shutdown, Kill or PowerLoss, or by an error that only a restart mends; Boot starts the next one.
class World {
 public:
  World(const Scenario& scenario, Checks& checks, Trace& trace);

  // Starts a process; tries again while power or I/O fails on the way. Afterwards there is one, unless the run is over.
  void Boot();
  void Shutdown();
  void Kill();
  void PowerLoss();
  // The power failed on its own, by CutPowerAfter.
  bool without_power() const { return !files.powered(); }
  // Counts processes: an answer to one that is gone reaches nobody.
  std::uint64_t process() const { return process_; }

  // Lets one task do a few steps, opening it first if it failed; true if it may have more to do.
  bool StepTask(std::size_t task, int steps);
  std::size_t task_count() const { return slots_.size(); }
  bool TaskOpen(std::size_t task) const { return slots_[task].task != nullptr; }
  // Drops the task, as the engine does after an error.
  void CloseTask(std::size_t task) { slots_[task].task.reset(); }
  flow::TaskStatus StatusOf(std::size_t task) const { return slots_[task].task->status(); }
  void Tick();
  // A new version of the reference table.
  void ReloadReference(std::uint64_t variant);
  // Versions that took effect in a partition and where, from its journal.
  const std::vector<flow::ReferenceActivation>& activations(std::int32_t partition) const {
    return activations_[static_cast<std::size_t>(partition)];
  }
  Result<flow::ReferenceHandle> LoadReference(std::uint64_t version);

  // An error that the product gave: what faults explain is passed over, damage done on purpose ends the run, anything else is a
  // violation of `check`.
  void Judge(std::string_view check, std::string_view where, const Error& error);
  // From now on, in this process, I/O may fail; the disk may be full.
  void ExpectIoErrors() { io_errors_ = true; }
  void ExpectDamage() { damaged_ = true; }
  bool damaged() const { return damaged_; }
  // An error came up that needs a restart, sooner or later.
  bool troubled() const { return troubled_; }
  // All injected faults end.
  void EndFaults();

  static constexpr const char* kData = "/data";
  runtime::SimulatedClock clock;
  runtime::SimulatedFileSystem files;
  runtime::Failpoints failpoints;
  runtime::Runtime runtime{clock, files, failpoints};
  std::unique_ptr<bus::LogBus> bus;

 private:
  struct Slot {
    int root = 0;
    Partition partition;
    bool merge = false;
    std::unique_ptr<flow::Task> task;
    bool look_for_activations = true;
    std::int64_t position = 0;  // of a root, before its last step
  };
  Status Start();
  void End();
  Status OpenTask(Slot& slot);
  void ReadActivations(Slot& slot);

  const Scenario& scenario_;
  Checks& checks_;
  Trace& trace_;
  std::uint64_t process_ = 0;
  std::unique_ptr<flow::FileReferenceStore> references_;
  std::unique_ptr<flow::ReferenceCatalog> catalog_;
  std::unique_ptr<flow::TaskContext> context_;
  std::unique_ptr<flow::IdleTicker> ticker_;
  std::vector<Slot> slots_;
  std::vector<std::vector<flow::ReferenceActivation>> activations_;
  bool io_errors_ = false;
  bool damaged_ = false;
  bool troubled_ = false;
};

}  // namespace sightline::sim
