#include "apps/sightline/server/refused_records.h"

#include "sightline/model/dead_letter.h"

namespace sightline::app {
namespace {

constexpr std::int64_t kLettersMax = 200'000;  // a call; a status page must not wait for all there ever were

}  // namespace

void RefusedRecords::Read(const TopicPartition& partition, Offset start, Place& place) {
  if (place.reader == nullptr || place.reader->position() < start) {
    auto reader = bus_.OpenReader(partition, start);
    if (!reader) return;
    place.reader = std::move(*reader);
  }
  for (std::int64_t read = 0; read < kLettersMax;) {
    const Offset before = place.reader->position();
    const auto batch = place.reader->Next();
    place.passed += place.reader->position() - before;
    if (!batch || !*batch) return;
    for (const std::string_view value : (*batch)->values) {
      const Result<DeadLetter> letter = DecodeDeadLetter(value);
      if (!letter) {
        --place.passed;
        continue;
      }
      ++place.counts[static_cast<std::size_t>(letter->reason)];
    }
    read += static_cast<std::int64_t>((*batch)->values.size());
  }
}

RefusedRecords::Counts RefusedRecords::Of(const std::string& topic) {
  Counts sum{};
  const Result<bus::TopicInfo> info = bus_.Describe(topic);
  if (!info) return sum;
  std::vector<Place>& places = topics_[topic];
  places.resize(info->partitions.size());
  for (std::size_t p = 0; p < places.size(); ++p) {
    const bus::TopicInfo::PartitionInfo& partition = info->partitions[p];
    Read({topic, Partition(static_cast<std::int32_t>(p))}, partition.start, places[p]);
    for (std::size_t v = 0; v < kVerdicts; ++v) sum[v] += places[p].counts[v];
    const std::int64_t unread = partition.visible.value - places[p].passed;
    if (unread > 0) sum[static_cast<std::size_t>(Verdict::kMalformed)] += static_cast<std::uint64_t>(unread);
  }
  return sum;
}

}  // namespace sightline::app
