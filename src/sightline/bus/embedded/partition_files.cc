#include "sightline/bus/embedded/partition_files.h"

#include "sightline/base/bytes.h"
#include "sightline/bus/embedded/sealed_file.h"

namespace sightline::bus {
namespace {

constexpr std::uint32_t kStateMagic = 0x53504c53;    // "SLPS"
constexpr std::uint32_t kSidecarMagic = 0x4d534c53;  // "SLSM"
constexpr std::uint64_t kFileBytesMax = 1ULL << 30;
// A consumer that remembers an epoch older than this many truncations is told that it can't be judged any more.
constexpr std::size_t kEpochsKept = 1000;

}  // namespace

void PartitionState::RaiseEpoch(Offset end) {
  // Epochs that began past the cut left no record behind.
  const Epoch next = epoch() + 1;
  while (!epochs.empty() && epochs.back().from >= end) epochs.pop_back();
  epochs.push_back({next, end});
  if (epochs.size() > kEpochsKept) epochs.erase(epochs.begin());
}

Result<PartitionState> PartitionState::Load(runtime::FileSystem& files, const std::string& directory) {
  const std::string path = directory + "/" + kFile;
  auto file = runtime::ReadFile(files, path, kFileBytesMax);
  if (!file) {
    if (file.error().kind == ErrorKind::kNotFound) return PartitionState();
    return std::unexpected(std::move(file).error());
  }
  auto fields = UnsealFile(kStateMagic, *file);
  if (!fields) {
    return Fail(fields.error().kind, path + ": " + fields.error().message +
                                         "; removing it makes the log start anew from its segments, repaired gaps being "
                                         "reported as damage again");
  }
  ByteReader in(*fields);
  PartitionState state;
  state.epochs.clear();
  for (auto left = in.Get<std::uint32_t>(); left > 0 && in.ok(); --left) {
    const Epoch epoch(in.Get<std::int32_t>());
    state.epochs.push_back({epoch, Offset(in.Get<std::int64_t>())});
  }
  state.start = Offset(in.Get<std::int64_t>());
  state.dropped = in.Get<std::uint64_t>();
  for (auto left = in.Get<std::uint32_t>(); left > 0 && in.ok(); --left) {
    Skip skip;
    skip.from = Offset(in.Get<std::int64_t>());
    skip.to = Offset(in.Get<std::int64_t>());
    skip.segment = Offset(in.Get<std::int64_t>());
    skip.position = in.Get<std::uint64_t>();
    state.skips.push_back(skip);
  }
  if (!in.done() || state.epochs.empty()) return Fail(ErrorKind::kCorruption, path + ": the fields do not fit");
  return state;
}

Status PartitionState::Save(runtime::FileSystem& files, const std::string& directory) const {
  std::string fields;
  ByteWriter out(fields);
  out.Put(static_cast<std::uint32_t>(epochs.size()));
  for (const EpochStart& start_of : epochs) {
    out.Put(start_of.epoch.value);
    out.Put(start_of.from.value);
  }
  out.Put(start.value);
  out.Put(dropped);
  out.Put(static_cast<std::uint32_t>(skips.size()));
  for (const Skip& skip : skips) {
    out.Put(skip.from.value);
    out.Put(skip.to.value);
    out.Put(skip.segment.value);
    out.Put(skip.position);
  }
  return runtime::WriteFileAtomically(files, directory + "/" + kFile, SealFile(kStateMagic, fields));
}

std::string Sidecar::Encode() const {
  std::string fields;
  ByteWriter out(fields);
  out.Put(segment.id);
  out.Put(segment.base.value);
  out.Put(used);
  out.Put(end.value);
  out.Put(last_append.value);
  out.Put(epoch.value);
  out.Put(published.value);
  out.Put(static_cast<std::uint32_t>(index.size()));
  for (const Segment::IndexEntry& entry : index) {
    out.Put(entry.base.value);
    out.Put(entry.position);
  }
  out.Put(static_cast<std::uint32_t>(tags.size()));
  for (const RetryTable::Tag& tag : tags) {
    out.Put(tag.tag.key.low);
    out.Put(tag.tag.key.high);
    out.Put(tag.tag.part);
    out.Put(tag.tag.digest);
    out.Put(tag.base.value);
    out.Put(tag.count);
    out.Put(tag.at.value);
  }
  out.PutBytes(producers);
  return SealFile(kSidecarMagic, fields);
}

Result<Sidecar> Sidecar::Decode(std::string_view bytes) {
  SL_ASSIGN_OR_RETURN(const std::string_view fields, UnsealFile(kSidecarMagic, bytes));
  ByteReader in(fields);
  Sidecar sidecar;
  sidecar.segment.id = in.Get<std::uint64_t>();
  sidecar.segment.base = Offset(in.Get<std::int64_t>());
  sidecar.used = in.Get<std::uint64_t>();
  sidecar.end = Offset(in.Get<std::int64_t>());
  sidecar.last_append = AppendTime(in.Get<std::int64_t>());
  sidecar.epoch = Epoch(in.Get<std::int32_t>());
  sidecar.published = Offset(in.Get<std::int64_t>());
  for (auto left = in.Get<std::uint32_t>(); left > 0 && in.ok(); --left) {
    const Offset base(in.Get<std::int64_t>());
    sidecar.index.push_back({.base = base, .position = in.Get<std::uint64_t>()});
  }
  for (auto left = in.Get<std::uint32_t>(); left > 0 && in.ok(); --left) {
    RetryTable::Tag tag;
    tag.tag.key.low = in.Get<std::uint64_t>();
    tag.tag.key.high = in.Get<std::uint64_t>();
    tag.tag.part = in.Get<std::uint32_t>();
    tag.tag.digest = in.Get<std::uint32_t>();
    tag.base = Offset(in.Get<std::int64_t>());
    tag.count = in.Get<std::uint32_t>();
    tag.at = AppendTime(in.Get<std::int64_t>());
    sidecar.tags.push_back(tag);
  }
  sidecar.producers = std::string(in.position(), in.remaining());
  if (!in.ok() || sidecar.index.empty()) return Fail(ErrorKind::kCorruption, "the file is damaged");
  return sidecar;
}

}  // namespace sightline::bus
