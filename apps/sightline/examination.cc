#include "apps/sightline/examination.h"

#include <netdb.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <sys/timex.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "apps/sightline/references.h"
#include "sightline/base/text.h"
#include "sightline/flow/reference.h"

#include "apps/sightline/output.h"
#include "apps/sightline/server/offline_data.h"

namespace sightline::app {
namespace {

// Binary prefixes, rounded: for people.
std::string Rounded(std::uint64_t bytes) {
  constexpr std::uint64_t kGiB = 1ULL << 30;
  return bytes >= kGiB ? std::to_string(bytes / kGiB) + " GiB" : std::to_string(bytes >> 20) + " MiB";
}

// The directory itself or, before the first start, the nearest one above it.
std::string ExistingPart(const std::string& data) {
  std::error_code ignored;
  std::filesystem::path path = std::filesystem::absolute(data, ignored);
  while (path.has_relative_path() && !std::filesystem::exists(path, ignored)) path = path.parent_path();
  return path.string();
}

std::string SystemMessage(int error_number) { return std::generic_category().message(error_number); }

}  // namespace

Finding ExamineDirectory(const World& world, const std::string& data) {
  const std::string existing = ExistingPart(data);
  std::error_code error;
  if (!std::filesystem::is_directory(existing, error))
    return {"data directory", Health::kProblem, existing + " is not a directory", "choose another by --data DIR"};
  const std::string probe = existing + "/.sightline-doctor-" + std::to_string(getpid());
  auto file = world.files.Open(probe, runtime::OpenMode::kCreateExclusive);
  Status written = file ? (*file)->WriteAt(0, "probe") : Status(std::unexpected(file.error()));
  if (written) written = (*file)->Sync();
  if (file) (void)world.files.Remove(probe);
  if (!written) {
    return {"data directory", Health::kProblem, written.error().message,
            "make " + existing + " writable for " + std::to_string(geteuid()) + ", or choose another by --data DIR"};
  }
  return {"data directory", Health::kGood,
          existing == std::filesystem::absolute(data, error).string() ? data + " is writable" : data + " will be made in " + existing, ""};
}

Finding ExamineFileSystemType(const std::string& data) {
  constexpr std::uint32_t kNfs = 0x6969, kTmpfs = 0x01021994, kCifs = 0xff534d42, kSmb2 = 0xfe534d42;
  struct statfs info{};
  if (statfs(ExistingPart(data).c_str(), &info) != 0) return {"file system", Health::kWarning, SystemMessage(errno), ""};
  switch (static_cast<std::uint32_t>(info.f_type)) {
    case kNfs:
    case kCifs:
    case kSmb2:
      return {"file system", Health::kProblem, "a network file system: locks and flushes do not hold what they promise",
              "use a local disk"};
    case kTmpfs:
      return {"file system", Health::kWarning, "tmpfs: everything is gone after a restart of the machine",
              "use a disk, unless this is a test"};
    default: return {"file system", Health::kGood, "local", ""};
  }
}

Finding ExamineFreeSpace(const World& world, const std::string& data) {
  constexpr std::uint64_t kProblem = 512ULL << 20, kWarning = 5ULL << 30;
  const auto free = world.files.FreeBytes(ExistingPart(data));
  if (!free) return {"free space", Health::kWarning, free.error().message, ""};
  const Health health = *free < kProblem ? Health::kProblem : *free < kWarning ? Health::kWarning : Health::kGood;
  return {"free space", health, Rounded(*free), health == Health::kGood ? "" : "make room, or set datasets.NAME.retain.bytes"};
}

Finding ExamineFlush(const World& world, const std::string& data) {
  constexpr int kWrites = 15;
  constexpr std::int64_t kSlowNs = 20'000'000;
  const std::string probe = ExistingPart(data) + "/.sightline-doctor-flush-" + std::to_string(getpid());
  const auto file = world.files.Open(probe, runtime::OpenMode::kCreateExclusive);
  if (!file) return {"flush", Health::kWarning, "unknown: " + file.error().message, ""};
  const std::string block(4096, 'x');
  std::vector<std::int64_t> times;
  Status written;
  for (int i = 0; i < kWrites && written; ++i) {
    const std::int64_t start = world.clock.MonotonicNs();
    written = (*file)->WriteAt(static_cast<std::uint64_t>(i) * block.size(), block);
    if (written) written = (*file)->Sync();
    times.push_back(world.clock.MonotonicNs() - start);
  }
  (void)world.files.Remove(probe);
  if (!written) return {"flush", Health::kProblem, written.error().message, "use another disk: nothing can be made durable here"};
  std::ranges::nth_element(times, times.begin() + kWrites / 2);
  const std::int64_t median = times[kWrites / 2];
  const std::string found =
      std::to_string(median / 1'000'000) + "." + std::to_string(median / 100'000 % 10) + " ms to make a write durable";
  if (median < kSlowNs) return {"flush", Health::kGood, found, ""};
  return {"flush", Health::kWarning, found, "an acknowledgement waits for it: use a faster disk, or drivers.bus.durability: interval"};
}

Finding ExamineReference(const World& world, const config::ReferenceConfig& reference, Objects& objects) {
  const std::string name = "reference " + reference.name;
  runtime::Failpoints failpoints;
  auto rows = ReadReferenceRows(reference, {.clock = world.clock, .files = world.files, .failpoints = failpoints}, objects);
  if (!rows) return {name, Health::kProblem, rows.error().message, "correct " + reference.from};
  const int key = reference.contract.schema.Find(reference.key);
  const std::size_t count = rows->rows;
  const auto table = flow::ReferenceTable::Make(reference.name, 1, reference.contract.schema, key, std::move(*rows));
  if (!table) return {name, Health::kProblem, reference.from + ": " + table.error().message, "correct " + reference.from};
  return {name, Health::kGood, WithThousands(count) + " rows", ""};
}

Finding ExamineLog(const Context& context, const std::string& data) {
  // More than this takes longer than somebody waits for a doctor.
  constexpr std::uint64_t kReadMax = 2ULL << 30;
  const auto there = context.world.files.Exists(data + "/log");
  if (there && !*there) return {"log", Health::kGood, "none yet", ""};
  auto opened = OfflineData::Open(context, data, OfflineData::Needs::kLog);
  if (!opened) return {"log", Health::kProblem, opened.error().message, "sightline topic verify"};
  bus::LogBus& log = *(*opened)->log();
  std::uint64_t records = 0, bytes = 0, damaged = 0;
  for (const bus::LogBus::Recovered& recovered : log.recovered()) damaged += recovered.report.damages.size();
  const auto topics = log.Topics();
  for (const std::string& topic : topics.value_or(std::vector<std::string>())) {
    const auto info = log.Describe(topic);
    if (!info) continue;
    for (const auto& partition : info->partitions) {
      records += static_cast<std::uint64_t>(partition.end - partition.start);
      bytes += partition.bytes;
    }
  }
  if (damaged == 0 && bytes <= kReadMax) {
    for (const std::string& topic : topics.value_or(std::vector<std::string>())) {
      const auto reports = log.Verify(topic);
      if (!reports) return {"log", Health::kProblem, reports.error().message, "sightline topic verify"};
      for (const bus::VerifyReport& report : *reports) damaged += report.damages.size();
    }
  }
  const std::string found = WithThousands(records) + " records in " + Rounded(bytes);
  if (damaged > 0) {
    return {"log", Health::kProblem, found + ", damaged in " + WithThousands(damaged) + (damaged == 1 ? " place" : " places"),
            "sightline topic verify says where"};
  }
  return {"log", Health::kGood, found + (bytes <= kReadMax ? ", all of it sound" : "; sightline topic verify reads all of it"), ""};
}

Finding ExamineClock(const World& world) {
  constexpr std::int64_t kYear2025 = 1'735'689'600'000, kYear2100 = 4'102'444'800'000;
  const std::int64_t now = world.clock.Now().value;
  if (now < kYear2025 || now > kYear2100) {
    return {"clock", Health::kProblem, "it says " + std::to_string(now) + " ms since 1970",
            "set the clock: event times are compared with it"};
  }
  timex state{};
  const int result = adjtimex(&state);
  if (result == TIME_ERROR || (state.status & STA_UNSYNC) != 0) {
    return {"clock", Health::kWarning, "plausible, not synchronised",
            "run an NTP client: an event more than watermark.ahead_max ahead of this clock is refused"};
  }
  return {"clock", Health::kGood, "synchronised", ""};
}

Finding ExamineOpenFiles(std::int64_t connections) {
  constexpr std::int64_t kOwnFiles = 1000;
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return {"open files", Health::kWarning, SystemMessage(errno), ""};
  const std::string found = std::to_string(limit.rlim_cur) + " allowed (hard limit " +
                            (limit.rlim_max == RLIM_INFINITY ? "none" : std::to_string(limit.rlim_max)) + ")";
  const auto wanted = static_cast<rlim_t>(connections + kOwnFiles);
  if (limit.rlim_max >= wanted) return {"open files", Health::kGood, found, ""};
  return {"open files", Health::kWarning, found,
          "for " + std::to_string(connections) + " connections: ulimit -n " + std::to_string(wanted) +
              ", or lower limits.requests.connections_max"};
}

Finding ExamineProcessor() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  std::string missing;
  const auto need = [&missing](bool there, const char* name) {
    if (!there) missing += (missing.empty() ? "" : ", ") + std::string(name);
  };
  need(__builtin_cpu_supports("avx2") != 0, "avx2");
  need(__builtin_cpu_supports("bmi") != 0, "bmi");
  need(__builtin_cpu_supports("bmi2") != 0, "bmi2");
  need(__builtin_cpu_supports("fma") != 0, "fma");
  need(__builtin_cpu_supports("popcnt") != 0, "popcnt");
  if (!missing.empty())
    return {"processor", Health::kProblem, "lacks " + missing, "this build needs x86-64-v3; build with -DSIGHTLINE_MARCH=x86-64-v2"};
  const bool wide = __builtin_cpu_supports("avx512bw") != 0;
  return {"processor", Health::kGood,
          std::string("x86-64-v3") + (wide ? " and AVX-512" : "") + ", " + std::to_string(sysconf(_SC_NPROCESSORS_ONLN)) + " cores", ""};
#else
  return {"processor", Health::kGood, std::to_string(sysconf(_SC_NPROCESSORS_ONLN)) + " cores", ""};
#endif
}

Finding ExamineMemory(std::uint64_t wanted_bytes) {
  struct sysinfo info{};
  if (sysinfo(&info) != 0) return {"memory", Health::kWarning, SystemMessage(errno), ""};
  const std::uint64_t total = static_cast<std::uint64_t>(info.totalram) * info.mem_unit;
  const std::string found = Rounded(total) + ", the configuration may take " + Rounded(wanted_bytes);
  if (wanted_bytes <= total / 10 * 8) return {"memory", Health::kGood, found, ""};
  return {"memory", Health::kWarning, found, "lower state.memory_max or drivers.statistics.memory_max"};
}

Finding ExamineHugePages(const World& world) {
  // The port's Size() is zero for files of sysfs, so the text is read as far as it goes.
  const auto file = world.files.Open("/sys/kernel/mm/transparent_hugepage/enabled", runtime::OpenMode::kRead);
  std::string text(128, '\0');
  const auto got = file ? (*file)->ReadAt(0, text.data(), text.size()) : Result<std::size_t>(std::unexpected(file.error()));
  if (!got) return {"huge pages", Health::kWarning, "unknown: " + got.error().message, ""};
  text.resize(*got);
  const std::size_t open = text.find('[');
  const std::size_t close = text.find(']');
  if (open == std::string::npos || close == std::string::npos || close < open) return {"huge pages", Health::kWarning, "unknown", ""};
  const std::string mode = text.substr(open + 1, close - open - 1);
  if (mode != "never") return {"huge pages", Health::kGood, mode, ""};
  return {"huge pages", Health::kWarning, "never: deduplication is slower", "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled"};
}

Finding ExaminePort(const std::string& what, const config::Endpoint& endpoint, bool own_server_runs) {
  if (endpoint.port == 0) return {what, Health::kGood, "any free port", ""};
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* list = nullptr;
  const int resolved = getaddrinfo(endpoint.host.c_str(), std::to_string(endpoint.port).c_str(), &hints, &list);
  if (resolved != 0) return {what, Health::kProblem, endpoint.ToString() + ": " + gai_strerror(resolved), "correct " + what};
  int failure = 0;
  const int fd = socket(list->ai_family, list->ai_socktype | SOCK_CLOEXEC, list->ai_protocol);
  const int on = 1;
  if (fd >= 0) setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (fd < 0 || bind(fd, list->ai_addr, list->ai_addrlen) != 0 || listen(fd, 1) != 0) failure = errno;
  if (fd >= 0) close(fd);
  freeaddrinfo(list);
  if (failure == 0) return {what, Health::kGood, endpoint.ToString() + " is free", ""};
  if (failure == EADDRINUSE && own_server_runs) return {what, Health::kGood, endpoint.ToString() + " is held by the running server", ""};
  const std::string port = std::to_string(endpoint.port);
  return {what, Health::kProblem, endpoint.ToString() + ": " + SystemMessage(failure),
          failure == EADDRINUSE ? "find who holds it (ss -ltnp 'sport = :" + port + "'), or change " + what : "change " + what};
}

Finding ExamineSecretFile(const std::string& name, const std::string& path) {
  struct stat info{};
  if (stat(path.c_str(), &info) != 0) {
    if (errno == ENOENT) return {name, Health::kGood, path + " will be made at the first start", ""};
    return {name, Health::kProblem, path + ": " + SystemMessage(errno), "make it readable for this user"};
  }
  if ((info.st_mode & (S_IRWXG | S_IRWXO)) != 0) return {name, Health::kProblem, path + " can be read by others", "chmod 600 " + path};
  if (access(path.c_str(), R_OK) != 0) return {name, Health::kProblem, path + ": " + SystemMessage(errno), "run as the user who owns it"};
  return {name, Health::kGood, path + " is readable by its owner alone", ""};
}

}  // namespace sightline::app
