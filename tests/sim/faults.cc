#include "tests/sim/faults.h"

#include <algorithm>

namespace sightline::sim {
namespace {

using std::chrono::milliseconds;

// Where syncs and writes fail: everywhere, or in one kind of file.
constexpr std::array kPlaces = {"/data/",          "/topics/camera_events/", "/topics/results.", "/topics/dead_letters.", "/flow/", "/journal-", "/ids-",
                                "/flow/top_items_overall/", "/groups/",              "/references/",     "/state"};

}  // namespace

std::string Faults::SomePlace() { return kPlaces[random_.Below(kPlaces.size())]; }

void Faults::Perhaps() {
  if (random_.OneIn(60)) CutPowerSoon();
  if (random_.OneIn(50)) SetClock();
  if (!scenario_.faults) return;
  switch (random_.Below(240)) {
    case 0: return FailSyncs();
    case 1: return FailWrites();
    case 2: return FillDisk();
    case 3:
    case 4: return ArmFailpoint();
    default: return;
  }
}

void Faults::CutPowerSoon() {
  const std::uint64_t operations = 1 + random_.Below(random_.OneIn(2) ? 15 : 200);
  trace_.Note("cut power after", static_cast<std::int64_t>(operations));
  world_.files.CutPowerAfter(operations);
}

void Faults::FailSyncs() {
  const std::string place = SomePlace();
  trace_.Note("fail syncs");
  trace_.Say("  in", place);
  world_.ExpectIoErrors();
  world_.files.FailSyncs(place, static_cast<int>(1 + random_.Below(3)));
}

void Faults::FailWrites() {
  const std::string place = SomePlace();
  trace_.Note("fail writes");
  trace_.Say("  in", place);
  world_.ExpectIoErrors();
  world_.files.FailWrites(place, static_cast<int>(1 + random_.Below(3)));
}

std::uint64_t Faults::UsedBytes(const std::string& directory) {
  std::uint64_t used = 0;
  for (const runtime::FileInfo& entry : world_.files.List(directory).value_or(std::vector<runtime::FileInfo>())) {
    used += entry.directory ? UsedBytes(directory + "/" + entry.name) : entry.size;
  }
  return used;
}

void Faults::FillDisk() {
  const std::uint64_t room = random_.Below(40'000);
  trace_.Note("disk has left", static_cast<std::int64_t>(room));
  world_.ExpectIoErrors();
  world_.files.SetCapacity(UsedBytes(World::kData) + room);
}

void Faults::ArmFailpoint() {
  std::vector<std::string_view> names = runtime::Failpoints::Names();
  std::erase_if(names, [](std::string_view name) { return !name.starts_with("bus.") && !name.starts_with("flow."); });
  const std::string spec = std::string(names[random_.Below(names.size())]) + "=error@" + std::to_string(1 + random_.Below(5));
  trace_.Note("failpoint");
  trace_.Say("  at", spec);
  world_.ExpectIoErrors();
  static_cast<void>(runtime::Failpoints::Parse(spec, world_.failpoints));
}

void Faults::SetClock() {
  const std::int64_t span = random_.OneIn(4) ? 3 * 3'600'000 : 60'000;
  const std::int64_t by = static_cast<std::int64_t>(random_.Below(2 * static_cast<std::uint64_t>(span))) - span;
  trace_.Note("clock is set by ms", by);
  world_.clock.Jump(milliseconds(by));
}

bool Faults::Rot(const std::string& path, std::uint64_t from, std::uint64_t to) {
  if (from >= to) return false;
  const std::uint64_t at = from + random_.Below(to - from);
  const auto mask = static_cast<std::uint8_t>(1U << random_.Below(8));
  if (!world_.files.Flip(path, at, mask)) return false;
  trace_.Note("bytes rot at", static_cast<std::int64_t>(at));
  trace_.Say("  in", path);
  world_.ExpectDamage();
  return true;
}

// Not in the last entry of a journal, nor in the last segment of a partition: what nothing behind it calls durable cannot be told from
// a write that a crash interrupted (docs/formats/log.md, docs/formats/journal.md).
bool Faults::RotBytes() {
  const bool journal = random_.OneIn(2);
  const std::string partition = std::to_string(random_.Below(static_cast<std::uint64_t>(scenario_.partitions)));
  const std::string directory = std::string(World::kData) + (journal ? "/flow/item_counts/" : random_.OneIn(2) ? "/log/topics/camera_events/" : "/log/topics/results.item_counts/") + partition;
  std::vector<std::pair<std::string, std::uint64_t>> logs;
  std::vector<std::pair<std::string, std::uint64_t>> states;
  for (const runtime::FileInfo& entry : world_.files.List(directory).value_or(std::vector<runtime::FileInfo>())) {
    if (entry.name.ends_with(".log")) logs.emplace_back(directory + "/" + entry.name, entry.size);
    if (entry.name.starts_with("journal-") || entry.name.starts_with("ids-")) states.emplace_back(directory + "/" + entry.name, entry.size);
  }
  if (journal) {
    constexpr std::uint64_t kLastEntry = 64;
    if (states.empty()) return false;
    const auto& [path, size] = states[random_.Below(states.size())];
    const bool ids = path.find("/ids-") != std::string::npos;
    return Rot(path, 0, ids ? size : size - std::min(size, kLastEntry));
  }
  if (logs.size() < 2) return false;
  const auto& [path, size] = logs[random_.Below(logs.size() - 1)];
  return Rot(path, 0, size);
}

}  // namespace sightline::sim
