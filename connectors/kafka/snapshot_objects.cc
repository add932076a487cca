#include "connectors/kafka/snapshot_objects.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <set>

#include "sightline/base/bytes.h"
#include "sightline/base/hash.h"
#include "sightline/runtime/random.h"

namespace sightline::kafka {
namespace {

constexpr std::uint32_t kMagic = 0x4e53'4c53;  // "SLSN"
constexpr std::uint32_t kVersion = 1;
constexpr std::size_t kHeadBytes = 12;              // magic, version, CRC-32C of the rest
constexpr std::uint64_t kPutWhole = 32ULL << 20;    // what is larger goes in parts
// Runs of about the same size are put together when there are so many of them, so that a restore reads few objects and each id is
// rewritten few times. Beyond the largest size a restore waits for bytes, not for objects.
constexpr std::size_t kRunsTogether = 8;
constexpr std::uint64_t kSmallRun = 1ULL << 20;
constexpr std::uint64_t kLargestRun = 128ULL << 20;

int TierOf(std::uint64_t bytes) {
  int tier = 0;
  for (std::uint64_t limit = kSmallRun; bytes >= limit && limit < kLargestRun; limit *= kRunsTogether) ++tier;
  return tier;
}

std::optional<std::uint64_t> NumberOf(std::string_view name) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number, 16);
  if (error != std::errc() || end != name.data() + 16) return std::nullopt;
  return number;
}

std::unexpected<Error> Damaged(const std::string& key, const std::string& location) {
  return Fail(ErrorKind::kCorruption,
              key + " in " + location +
                  " does not hold the state that was put there: restore the object, or start the pipeline anew with "
                  "--from earliest");
}

}  // namespace

std::string SnapshotObjects::NewName(std::uint64_t number, const char* suffix) {
  std::array<char, 64> name{};
  std::snprintf(name.data(), name.size(), "%016llx-%016llx%s", static_cast<unsigned long long>(number),
                static_cast<unsigned long long>(runtime::SystemEntropy()), suffix);
  return name.data();
}

Result<SnapshotObjects::Loaded> SnapshotObjects::Load(const std::string& name) {
  const std::string key = KeyOf(name);
  const std::optional<std::uint64_t> number = NumberOf(name);
  Result<stores::Object> object = store_.Get(key);
  if (!object && object.error().kind == ErrorKind::kNotFound) {
    return Fail(ErrorKind::kNotFound, key + " is gone from " + store_.location() +
                                          ", but the pipeline's commits name it: restore the object, or start the pipeline anew with "
                                          "--from earliest");
  }
  if (!object) return std::unexpected(std::move(object.error()));
  const std::string_view bytes = object->bytes;
  ByteReader head(bytes);
  const auto magic = head.Get<std::uint32_t>();
  const auto version = head.Get<std::uint32_t>();
  const auto crc = head.Get<std::uint32_t>();
  if (!number || !head.ok() || magic != kMagic || crc != Crc32c(bytes.substr(kHeadBytes))) return Damaged(key, store_.location());
  if (version != kVersion) {
    return Fail(ErrorKind::kCorruption, key + " was written by another version (format " + std::to_string(version) + ", this one reads " +
                                            std::to_string(kVersion) + ")");
  }
  ByteReader in(bytes.substr(kHeadBytes));
  Loaded loaded;
  loaded.fingerprint = in.Get<std::uint64_t>();
  loaded.progress_from = in.Get<std::int64_t>();
  loaded.snapshot = flow::GetSnapshot(in);
  std::vector<Run> runs;
  const std::uint64_t count = in.GetVarint();
  for (std::uint64_t i = 0; i < count && in.ok(); ++i) {
    Run run;
    run.name = std::string(in.GetString());
    run.bytes = in.Get<std::uint64_t>();
    run.crc = in.Get<std::uint32_t>();
    run.forgotten_at = in.Get<std::int64_t>();
    loaded.id_runs.push_back({.path = run.name, .bytes = run.bytes, .crc = run.crc, .forgotten_at = run.forgotten_at});
    runs.push_back(std::move(run));
  }
  loaded.snapshot.state = std::string(in.GetString());
  if (!in.done()) return Damaged(key, store_.location());
  number_ = *number;
  name_ = name;
  runs_ = std::move(runs);
  return loaded;
}

Result<std::string> SnapshotObjects::Read(const Run& run) {
  SL_ASSIGN_OR_RETURN(stores::Object object, store_.Get(KeyOf(run.name)));
  if (object.bytes.size() != run.bytes || Crc32c(object.bytes) != run.crc) return Damaged(KeyOf(run.name), store_.location());
  return std::move(object.bytes);
}

flow::ReadIdRun SnapshotObjects::id_run_reader() {
  return [this](const flow::KeptIdRun& run, const std::function<Status(std::string_view)>& take) -> Status {
    SL_ASSIGN_OR_RETURN(const std::string bytes, Read({.name = run.path, .bytes = run.bytes, .crc = run.crc}));
    return take(bytes);
  };
}

Status SnapshotObjects::PutObject(const std::string& name, std::string_view bytes) {
  if (bytes.size() <= kPutWhole) {
    SL_ASSIGN_OR_RETURN(const stores::ObjectInfo put, store_.Put(KeyOf(name), bytes, stores::PutCondition::IfAbsent()));
    return {};
  }
  SL_ASSIGN_OR_RETURN(const std::unique_ptr<stores::ObjectUpload> upload, store_.StartUpload(KeyOf(name), stores::kPartBytes));
  std::uint32_t part = 1;
  for (std::size_t begin = 0; begin < bytes.size(); begin += stores::kPartBytes) {
    if (Status put = upload->PutPart(part++, bytes.substr(begin, stores::kPartBytes)); !put) {
      (void)upload->Abort();
      return put;
    }
  }
  SL_ASSIGN_OR_RETURN(const stores::ObjectInfo done, upload->Complete());
  return {};
}

// The newest runs of one size, where there are enough of them, become one of the next size.
Status SnapshotObjects::PutRunsTogether(std::vector<Run>& runs, std::uint64_t number) {
  for (;;) {
    if (runs.empty()) return {};
    const int tier = TierOf(runs.back().bytes);
    std::size_t first = runs.size();
    std::uint64_t bytes = 0;
    while (first > 0 && TierOf(runs[first - 1].bytes) == tier) bytes += runs[--first].bytes;
    if (runs.size() - first < kRunsTogether || bytes > kLargestRun) return {};
    std::string all;
    all.reserve(bytes);
    Run together;
    for (std::size_t i = first; i < runs.size(); ++i) {
      SL_ASSIGN_OR_RETURN(const std::string part, Read(runs[i]));
      all += part;
      together.forgotten_at = std::max(together.forgotten_at, runs[i].forgotten_at);
    }
    together.name = NewName(number, ".ids");
    together.bytes = all.size();
    together.crc = Crc32c(all);
    SL_TRY(PutObject(together.name, all));
    runs.resize(first);
    runs.push_back(std::move(together));
  }
}

Status SnapshotObjects::AddRun(std::string_view bytes, std::int64_t forgotten_at) {
  if (bytes.empty()) return {};
  const std::uint64_t number = std::max(number_, next_number_) + 1;
  Run run{.name = NewName(number, ".ids"), .bytes = bytes.size(), .crc = Crc32c(bytes), .forgotten_at = forgotten_at};
  SL_TRY(PutObject(run.name, bytes));
  runs_.push_back(std::move(run));
  return {};
}

Result<std::string> SnapshotObjects::Put(const flow::Snapshot& snapshot, const flow::IdRun& run, std::int64_t watermark,
                                         std::uint64_t fingerprint, std::int64_t progress_from) {
  const std::uint64_t number = std::max(number_, next_number_) + 1;
  std::vector<Run> runs;
  for (const Run& kept : runs_) {
    if (kept.forgotten_at > watermark) runs.push_back(kept);
  }
  if (!run.bytes.empty()) {
    runs.push_back({NewName(number, ".ids"), run.bytes.size(), Crc32c(run.bytes), run.forgotten_at});
    SL_TRY(PutObject(runs.back().name, run.bytes));
    SL_TRY(PutRunsTogether(runs, number));
  }
  std::string body;
  ByteWriter out(body);
  out.Put(fingerprint);
  out.Put(progress_from);
  flow::PutSnapshot(snapshot, out);
  out.PutVarint(runs.size());
  for (const Run& kept : runs) {
    out.PutString(kept.name);
    out.Put(kept.bytes);
    out.Put(kept.crc);
    out.Put(kept.forgotten_at);
  }
  out.PutString(snapshot.state);
  std::string bytes;
  ByteWriter whole(bytes);
  whole.Put(kMagic);
  whole.Put(kVersion);
  whole.Put(Crc32c(body));
  bytes += body;
  const std::string name = NewName(number, ".snapshot");
  SL_TRY(PutObject(name, bytes));
  next_number_ = number;
  next_name_ = name;
  next_runs_ = std::move(runs);
  return name;
}

void SnapshotObjects::Count() {
  std::set<std::string> kept{next_name_};
  for (const Run& run : next_runs_) kept.insert(run.name);
  std::vector<std::string> gone;
  if (!name_.empty() && !kept.contains(name_)) gone.push_back(KeyOf(name_));
  for (const Run& run : runs_) {
    if (!kept.contains(run.name)) gone.push_back(KeyOf(run.name));
  }
  number_ = next_number_;
  name_ = next_name_;
  runs_ = next_runs_;
  if (!gone.empty()) (void)store_.Delete(gone);
}

Status SnapshotObjects::Sweep() {
  std::set<std::string> kept{name_};
  for (const Run& run : runs_) kept.insert(run.name);
  SL_ASSIGN_OR_RETURN(const std::vector<stores::ObjectInfo> all, stores::ListAll(store_, prefix_ + "/"));
  std::vector<std::string> gone;
  for (const stores::ObjectInfo& object : all) {
    const std::string name = object.key.substr(prefix_.size() + 1);
    const std::optional<std::uint64_t> number = NumberOf(name);
    if (!number) continue;
    // Also what a process put that was overtaken before it counted: the next snapshots need other numbers.
    next_number_ = std::max(next_number_, *number);
    if (*number < number_ && !kept.contains(name)) gone.push_back(object.key);
  }
  return gone.empty() ? Status() : store_.Delete(gone);
}

}  // namespace sightline::kafka
