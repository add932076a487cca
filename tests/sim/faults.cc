#include "tests/sim/faults.h"

#include <algorithm>

#include "sightline/bus/embedded/partition_files.h"

namespace sightline::sim {
namespace {

using std::chrono::milliseconds;

// Where syncs and writes fail: everywhere, or in one kind of file.
constexpr std::array kPlaces = {"/data/", "/topics/camera_events/",   "/topics/results.", "/topics/dead_letters.", "/flow/", "/journal-",
                                "/ids-",  "/flow/top_items_overall/", "/groups/",         "/references/",          "/state"};

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
  for (const runtime::FileInfo& entry : Files(directory)) {
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

// Only what something else calls durable: other bytes cannot be told from a write that a crash interrupted (docs/formats/log.md,
// docs/formats/journal.md). So not in the last entry of a journal, and of a log what a sidecar describes.
bool Faults::RotBytes() {
  const std::string partition = "/" + std::to_string(random_.Below(static_cast<std::uint64_t>(scenario_.partitions)));
  switch (random_.Below(3)) {
    case 0: return RotJournal(std::string(World::kData) + "/flow/item_counts" + partition);
    case 1: return RotLog(std::string(World::kData) + "/log/topics/camera_events" + partition);
    default: return RotLog(std::string(World::kData) + "/log/topics/results.item_counts" + partition);
  }
}

std::vector<runtime::FileInfo> Faults::Files(const std::string& directory) {
  return world_.files.List(directory).value_or(std::vector<runtime::FileInfo>());
}

bool Faults::RotJournal(const std::string& directory) {
  constexpr std::uint64_t kLastEntry = 64;
  std::vector<std::pair<std::string, std::uint64_t>> places;
  for (const runtime::FileInfo& entry : Files(directory)) {
    if (entry.name.starts_with("ids-")) places.emplace_back(entry.name, entry.size);
    if (entry.name.starts_with("journal-")) places.emplace_back(entry.name, entry.size - std::min(entry.size, kLastEntry));
  }
  if (places.empty()) return false;
  const auto& [name, size] = places[random_.Below(places.size())];
  return Rot(directory + "/" + name, 0, size);
}

bool Faults::RotLog(const std::string& directory) {
  constexpr std::uint64_t kSidecarMax = 1 << 20;
  std::vector<std::pair<std::string, std::uint64_t>> places;
  for (const runtime::FileInfo& entry : Files(directory)) {
    if (!entry.name.ends_with(".meta")) continue;
    const auto bytes = runtime::ReadFile(world_.files, directory + "/" + entry.name, kSidecarMax);
    const auto sidecar = bytes ? bus::Sidecar::Decode(*bytes) : Result<bus::Sidecar>(std::unexpected(bytes.error()));
    if (sidecar) places.emplace_back(sidecar->segment.LogFile(), sidecar->used);
  }
  if (places.empty()) return false;
  const auto& [name, size] = places[random_.Below(places.size())];
  return Rot(directory + "/" + name, 0, size);
}

}  // namespace sightline::sim
