#include "sightline/bus/embedded/topic_files.h"

#include "sightline/base/bytes.h"
#include "sightline/bus/embedded/sealed_file.h"

namespace sightline::bus {
namespace {

constexpr std::uint32_t kTopicMagic = 0x50544c53;  // "SLTP"
constexpr std::uint64_t kTopicFileMax = 1 << 20;

template <typename Enum>
Status TakeEnum(std::uint8_t value, Enum last, Enum& to) {
  if (value > static_cast<std::uint8_t>(last)) return Fail(ErrorKind::kCorruption, "an unknown setting");
  to = static_cast<Enum>(value);
  return {};
}

}  // namespace

Status SaveTopicSpec(runtime::FileSystem& files, const std::string& directory, const TopicSpec& spec) {
  std::string fields;
  ByteWriter out(fields);
  out.PutString(spec.name);
  out.Put(spec.partitions);
  out.Put(static_cast<std::uint8_t>(spec.durability));
  out.Put(static_cast<std::uint8_t>(spec.when_full));
  out.Put(static_cast<std::uint8_t>(spec.compression));
  out.Put(static_cast<std::uint8_t>(spec.owned ? 1 : 0));
  out.Put(static_cast<std::int64_t>(spec.interval.count()));
  out.Put(static_cast<std::int64_t>(spec.retain_time.count()));
  out.Put(spec.retain_bytes);
  out.Put(spec.segment_bytes);
  return runtime::WriteFileAtomically(files, directory + "/" + kTopicFile, SealFile(kTopicMagic, fields));
}

Result<TopicSpec> LoadTopicSpec(runtime::FileSystem& files, const std::string& directory) {
  const std::string path = directory + "/" + kTopicFile;
  SL_ASSIGN_OR_RETURN(const std::string file, runtime::ReadFile(files, path, kTopicFileMax));
  auto fields = UnsealFile(kTopicMagic, file);
  if (!fields) return std::unexpected(std::move(fields).error().In(path));
  ByteReader in(*fields);
  TopicSpec spec;
  spec.name = in.GetString();
  spec.partitions = in.Get<std::int32_t>();
  SL_TRY(TakeEnum(in.Get<std::uint8_t>(), Durability::kOs, spec.durability));
  SL_TRY(TakeEnum(in.Get<std::uint8_t>(), WhenFull::kDrop, spec.when_full));
  SL_TRY(TakeEnum(in.Get<std::uint8_t>(), Compression::kZstd, spec.compression));
  spec.owned = in.Get<std::uint8_t>() != 0;
  spec.interval = std::chrono::milliseconds(in.Get<std::int64_t>());
  spec.retain_time = std::chrono::milliseconds(in.Get<std::int64_t>());
  spec.retain_bytes = in.Get<std::uint64_t>();
  spec.segment_bytes = in.Get<std::uint64_t>();
  if (!in.done() || !CheckSpec(spec)) return Fail(ErrorKind::kCorruption, path + ": the fields do not fit");
  return spec;
}

}  // namespace sightline::bus
