#include "sightline/flow/dedupe_table.h"

#include <immintrin.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include "sightline/base/bytes.h"

namespace sightline::flow {
namespace {

constexpr std::size_t kDeltaSmall = 1U << 20;   // bytes: a partition with little to do keeps little
constexpr std::size_t kDeltaLarge = 64U << 20;  // bytes
constexpr std::int64_t kSweepEpochs = 0x2000;
constexpr std::int64_t kEpochsAhead = 0x7fff;
constexpr std::int64_t kCompactEpochs = 0x200;  // a 64th of what is remembered

// A segment grows when more than the one share of its slots is taken, until it is no more than the other: by a half, or, as long as it is
// small (a quarter of a megabyte), twofold. Fuller, and buckets overflow so often that a new id costs twice as much; larger, and it is
// memory that costs: 13 to 20 bytes an id of eight.
constexpr std::uint64_t kFullPercent = 80;
constexpr std::uint64_t kRoomPercent = 72;
constexpr std::uint64_t kSmallBuckets = 4096;

std::uint64_t Grown(std::uint64_t buckets) { return buckets + (buckets < kSmallBuckets ? buckets : buckets / 2); }

int MatchMask(const std::uint64_t* keys, std::uint64_t key) {
  const __m256i wanted = _mm256_set1_epi64x(static_cast<long long>(key));
  const __m256i low = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(keys));
  const __m256i high = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(keys + 2));
  const int low_mask = _mm256_movemask_pd(_mm256_castsi256_pd(_mm256_cmpeq_epi64(low, wanted)));
  const int high_mask = _mm256_movemask_pd(_mm256_castsi256_pd(_mm256_cmpeq_epi64(high, wanted)));
  return low_mask | (high_mask << 2);
}

int MatchMask(const Hash128* keys, const Hash128& key) {
  int mask = 0;
  for (int i = 0; i < 3; ++i) mask |= static_cast<int>(keys[i] == key) << i;
  return mask;
}

}  // namespace

template <typename Key>
DedupeTable<Key>::DedupeTable(std::int64_t within, std::int64_t out_of_orderness, std::uint64_t seed, StateMemory* memory)
    : within_(within),
      out_of_orderness_(out_of_orderness),
      // Epochs of live ids span within + out_of_orderness, and must stay below half of the 16-bit circle.
      quantum_(std::max<std::int64_t>(1, (within + out_of_orderness) / 32766 + 1)),
      quantum_inverse_(1.0 / static_cast<double>(quantum_)),
      seed_(seed),
      next_advance_(std::numeric_limits<std::int64_t>::min()),
      delta_newest_(std::numeric_limits<std::int64_t>::min() / quantum_ / 2) {
  double size = 48;
  for (Segment& segment : segments_) {
    segment.memory.UseMemory(memory);
    // Staggered sizes, so that segments do not all grow at the same moment.
    Rebuild(segment, static_cast<std::uint64_t>(size));
    size *= 1.014;
  }
}

template <typename Key>
std::uint64_t DedupeTable<Key>::HashOf(const Key& key) const {
  if constexpr (sizeof(Key) == 8) {
    return Mix64(key ^ seed_);
  } else {
    return key.low;  // a seeded hash already
  }
}

template <typename Key>
std::int64_t DedupeTable<Key>::EpochOf(std::int64_t event_time) const {
  // A division by multiplication; the product may be one off.
  auto epoch = static_cast<std::int64_t>(static_cast<double>(event_time) * quantum_inverse_);
  if (epoch * quantum_ > event_time) --epoch;
  if ((epoch + 1) * quantum_ <= event_time) ++epoch;
  return epoch;
}

template <typename Key>
void DedupeTable<Key>::AdvanceTo(std::int64_t watermark) {
  if (watermark == kWatermarkNone.value) return;
  if (watermark == kWatermarkEnd.value) return;  // the input is at its end, nothing is probed after it
  const std::int64_t horizon = EpochOf(watermark - within_);
  next_advance_ = (horizon + 1) * quantum_ + within_;
  if (!started_) {
    started_ = true;
    // Ids that came before any watermark can't be older than the horizon of the first one.
    horizon_ = swept_horizon_ = horizon;
  }
  // Expired epochs stay unambiguous on the 16-bit circle only for so long: sweep in steps of an eighth of it.
  while (horizon - swept_horizon_ > kSweepEpochs) {
    SetHorizon(std::min(horizon, swept_horizon_ + kSweepEpochs + 1));
    Sweep();
    if (size_ == 0) swept_horizon_ = horizon;
  }
  SetHorizon(horizon);
}

template <typename Key>
void DedupeTable<Key>::SetHorizon(std::int64_t horizon) {
  horizon_ = horizon;
  horizon16_ = static_cast<std::uint16_t>(horizon);
}

template <typename Key>
void DedupeTable<Key>::Sweep() {
  for (Segment& segment : segments_) Rebuild(segment, segment.count);
  swept_horizon_ = horizon_;
}

template <typename Key>
std::uint64_t DedupeTable<Key>::PlaceOf(std::uint64_t hash, const Segment& segment) {
  return static_cast<std::uint64_t>((static_cast<Uint128>(hash << 4) * segment.count) >> 64);
}

template <typename Key>
void DedupeTable<Key>::EnsureRoom() {
  for (Segment& segment : segments_) {
    if ((segment.used + kChunk) * 100 <= segment.count * kSlots * kFullPercent) [[likely]]
      continue;
    // What has expired since the last time needs no room: only what lives decides about growth.
    std::uint64_t live = segment.used;
    if (segment.rebuilt_at != horizon_) {
      live = 0;
      for (std::uint64_t b = 0; b < segment.count + kSpill; ++b) {
        for (int i = 0; i < segment.buckets[b].used; ++i) live += Live(segment.buckets[b].epochs[i]) ? 1 : 0;
      }
    }
    std::uint64_t buckets = segment.count;
    while ((live + kChunk) * 100 > buckets * kSlots * kRoomPercent) buckets = Grown(buckets);
    Rebuild(segment, buckets);
  }
}

template <typename Key>
void DedupeTable<Key>::Reserve(std::uint64_t keys) {
  const std::uint64_t share = keys / kSegments + kChunk;
  // Between full and with room, so that segments do not all grow at the same moment afterwards.
  std::uint64_t percent = kRoomPercent;
  for (Segment& segment : segments_) {
    const std::uint64_t buckets = (segment.used + share) * 100 / (kSlots * percent) + 1;
    if (buckets > segment.count) Rebuild(segment, buckets);
    percent = percent + 1 == kFullPercent ? kRoomPercent : percent + 1;
  }
}

template <typename Key>
std::uint64_t DedupeTable<Key>::GrowthFor(std::size_t keys) const {
  const double mean = static_cast<double>(keys) / kSegments;
  const std::uint64_t share = static_cast<std::uint64_t>(mean + 4 * std::sqrt(mean)) + kChunk;
  std::uint64_t growth = 0;
  for (const Segment& segment : segments_) {
    if ((segment.used + share) * 100 <= segment.count * kSlots * kFullPercent) [[likely]]
      continue;
    std::uint64_t buckets = segment.count;
    while ((segment.used + share) * 100 > buckets * kSlots * kRoomPercent) buckets = Grown(buckets);
    growth += (buckets - segment.count) * sizeof(Bucket);
  }
  return growth;
}

template <typename Key>
void DedupeTable<Key>::Compact(std::int64_t watermark) {
  if (watermark >= next_advance_) AdvanceTo(watermark);
  if (!started_ || horizon_ - compacted_horizon_ < kCompactEpochs) return;
  compacted_horizon_ = horizon_;
  for (Segment& segment : segments_) {
    Rebuild(segment, segment.count);
    const std::uint64_t fit = std::max<std::uint64_t>(64, (segment.used + kChunk) * 100 / (kSlots * kRoomPercent) + 1);
    if (fit + fit / 4 < segment.count) Shrink(segment, fit);
  }
}

// There are live entries only. They leave while the segment is laid out anew, a 16th of the table at a time.
template <typename Key>
void DedupeTable<Key>::Shrink(Segment& segment, std::uint64_t bucket_count) {
  std::vector<Entry> entries;
  entries.reserve(segment.used);
  for (std::uint64_t b = 0; b < segment.count + kSpill; ++b) {
    const Bucket& bucket = segment.buckets[b];
    for (int i = 0; i < bucket.used; ++i) entries.push_back({bucket.keys[i], bucket.epochs[i]});
  }
  bytes_ -= (segment.count - bucket_count) * sizeof(Bucket);
  size_ -= segment.used;
  segment.used = 0;
  segment.count = bucket_count;
  segment.memory.Shrink((bucket_count + kSpill) * sizeof(Bucket));
  std::memset(segment.memory.data(), 0, segment.memory.size());  // what grows later must be empty
  std::erase_if(entries, [&](const Entry& entry) { return Put(segment, PlaceOf(HashOf(entry.key), segment), entry); });
  size_ += segment.used;
  if (!entries.empty()) Rebuild(segment, Grown(segment.count), std::move(entries));
}

// Into the first free slot from `place` on; false when there is none before the segment's end.
template <typename Key>
bool DedupeTable<Key>::Put(Segment& segment, std::uint64_t place, const Entry& entry) {
  const std::uint64_t end = segment.count + kSpill;
  while (place < end && segment.buckets[place].used == kSlots) ++place;
  if (place == end) [[unlikely]]
    return false;
  Bucket& bucket = segment.buckets[place];
  bucket.keys[bucket.used] = entry.key;
  bucket.epochs[bucket.used] = entry.epoch;
  ++bucket.used;
  ++segment.used;
  return true;
}

// Places rise with the hash and with the number of buckets: from the last bucket to the first, each entry moves to where the
// buckets are empty or done already. Only near the front can one that had overflowed have its new place before its old one; it
// waits until that is done, too.
template <typename Key>
void DedupeTable<Key>::Stretch(Segment& segment, std::uint64_t before, std::vector<Entry>& homeless) {
  std::vector<Entry> waiting;
  for (std::uint64_t b = before; b-- > 0;) {
    const Bucket bucket = segment.buckets[b];
    segment.buckets[b].used = 0;
    for (int i = 0; i < bucket.used; ++i) {
      if (!Live(bucket.epochs[i])) continue;
      const Entry entry{bucket.keys[i], bucket.epochs[i]};
      const std::uint64_t place = PlaceOf(HashOf(entry.key), segment);
      if (place < b) [[unlikely]] {
        waiting.push_back(entry);
      } else if (!Put(segment, place, entry)) [[unlikely]] {
        homeless.push_back(entry);
      }
    }
    if (waiting.empty()) [[likely]]
      continue;
    std::erase_if(waiting, [&](const Entry& entry) {
      const std::uint64_t place = PlaceOf(HashOf(entry.key), segment);
      if (place < b) return false;
      if (!Put(segment, place, entry)) homeless.push_back(entry);
      return true;
    });
  }
}

// Takes out what has expired; from the first bucket to the last, each entry stays or moves towards its place.
template <typename Key>
void DedupeTable<Key>::Close(Segment& segment) {
  for (std::uint64_t b = 0; b < segment.count + kSpill; ++b) {
    const Bucket bucket = segment.buckets[b];
    segment.buckets[b].used = 0;
    for (int i = 0; i < bucket.used; ++i) {
      if (Live(bucket.epochs[i])) Put(segment, PlaceOf(HashOf(bucket.keys[i]), segment), {bucket.keys[i], bucket.epochs[i]});
    }
  }
}

template <typename Key>
void DedupeTable<Key>::Rebuild(Segment& segment, std::uint64_t bucket_count, std::vector<Entry> homeless) {
  do {
    const std::uint64_t before = segment.buckets == nullptr ? 0 : segment.count + kSpill;
    size_ -= segment.used;
    segment.used = 0;
    segment.rebuilt_at = horizon_;
    if (bucket_count == segment.count) {
      Close(segment);
    } else {
      segment.memory.Grow((bucket_count + kSpill) * sizeof(Bucket));
      segment.buckets = static_cast<Bucket*>(segment.memory.data());
      // A large region may have come out larger than asked for: room is room.
      if (bucket_count >= kSmallBuckets) bucket_count = segment.memory.size() / sizeof(Bucket) - kSpill;
      bytes_ += (bucket_count + kSpill - before) * sizeof(Bucket);
      segment.count = bucket_count;
      Stretch(segment, before, homeless);
    }
    std::erase_if(homeless, [&](const Entry& entry) { return Put(segment, PlaceOf(HashOf(entry.key), segment), entry); });
    size_ += segment.used;
    bucket_count = Grown(bucket_count);
  } while (!homeless.empty());
}

// Which slot matches, and which has expired, is found without branches: where a bucket's entries lie follows no pattern.
template <typename Key>
inline bool DedupeTable<Key>::InsertOrFind(std::uint64_t hash, const Key& key, std::uint16_t epoch) {
  Segment& segment = segments_[hash >> 60];
  const std::uint64_t end = segment.count + kSpill;
  Bucket* expired = nullptr;
  int expired_slot = 0;
  for (std::uint64_t at = PlaceOf(hash, segment); at < end; ++at) {
    Bucket& bucket = segment.buckets[at];
    const int taken = (1 << bucket.used) - 1;
    const int gone = ExpiredMask(bucket) & taken;
    if ((MatchMask(bucket.keys, key) & taken & ~gone) != 0) return true;
    if (gone != 0 && expired == nullptr) {
      expired = &bucket;
      expired_slot = std::countr_zero(static_cast<unsigned>(gone));
    }
    if (bucket.used < kSlots) {
      if (expired != nullptr) break;
      bucket.keys[bucket.used] = key;
      bucket.epochs[bucket.used] = epoch;
      ++bucket.used;
      ++segment.used;
      ++size_;
      return false;
    }
  }
  if (expired == nullptr) [[unlikely]] {
    Rebuild(segment, Grown(segment.count));
    return InsertOrFind(hash, key, epoch);
  }
  expired->keys[expired_slot] = key;
  expired->epochs[expired_slot] = epoch;
  return false;
}

// A bit a slot, set where its epoch is not live.
template <typename Key>
inline int DedupeTable<Key>::ExpiredMask(const Bucket& bucket) const {
  static_assert(offsetof(Bucket, epochs) + 16 <= sizeof(Bucket));
  const __m128i epochs = _mm_loadu_si128(reinterpret_cast<const __m128i*>(bucket.epochs));
  const __m128i age = _mm_sub_epi16(epochs, _mm_set1_epi16(static_cast<short>(horizon16_)));
  return _mm_movemask_epi8(_mm_packs_epi16(age, age));  // the sign bits: 0x8000 and beyond lies before the horizon
}

template <typename Key>
bool DedupeTable<Key>::Knows(std::uint64_t hash, const Key& key) const {
  const Segment& segment = segments_[hash >> 60];
  for (std::uint64_t at = PlaceOf(hash, segment); at < segment.count + kSpill; ++at) {
    const Bucket& bucket = segment.buckets[at];
    for (int i = 0; i < bucket.used; ++i) {
      if (bucket.keys[i] == key && Live(bucket.epochs[i])) return true;
    }
    if (bucket.used < kSlots) return false;
  }
  return false;
}

// Memory that nobody has written to costs nothing: beyond a small delta rather one large step than copies of all there is at each of many.
template <typename Key>
void DedupeTable<Key>::Remember(const Key& key, std::int64_t epoch) {
  char entry[kRunEntryBytes];
  StoreLe(entry, key);
  StoreLe(entry + sizeof(Key), epoch);
  if (delta_.capacity() - delta_.size() < sizeof entry) [[unlikely]]
    ReserveDelta(delta_.size() < kDeltaSmall ? std::max<std::size_t>(2 * delta_.size(), 4096) : std::max(2 * delta_.size(), kDeltaLarge));
  delta_.append(entry, sizeof entry);
  delta_newest_ = std::max(delta_newest_, epoch);
}

template <typename Key>
void DedupeTable<Key>::ReserveDelta(std::size_t bytes) {
  delta_.reserve(bytes);
  if (bytes >= kDeltaSmall) AdviseHugePages(delta_.data(), delta_.capacity());
}

// Calls what a hash leads to into the cache.
template <typename Key>
inline void DedupeTable<Key>::Fetch(std::uint64_t hash) const {
  const Segment& segment = segments_[hash >> 60];
  const Bucket* const home = &segment.buckets[PlaceOf(hash, segment)];
  __builtin_prefetch(home, 1);
  __builtin_prefetch(home + 1, 1);  // two in five overflow into it
}

template <typename Key>
void DedupeTable<Key>::Probe(std::span<const Key> keys, std::span<const std::int64_t> event_times, std::span<const std::int64_t> watermarks,
                             std::span<std::uint8_t> seen) {
  // While one chunk is judged, the buckets of the next are on their way from memory.
  std::uint64_t hashes[2][kChunk];
  const auto fetch = [&](std::size_t begin) {
    for (std::size_t i = begin; i < std::min(keys.size(), begin + kChunk); ++i) {
      const std::uint64_t hash = HashOf(keys[i]);
      Fetch(hash);
      hashes[begin / kChunk % 2][i - begin] = hash;
    }
  };
  fetch(0);
  for (std::size_t begin = 0; begin < keys.size(); begin += kChunk) {
    const std::size_t end = std::min(keys.size(), begin + kChunk);
    const std::uint64_t* const hash = hashes[begin / kChunk % 2];
    EnsureRoom();
    fetch(end);
    for (std::size_t i = begin; i < end; ++i) {
      if (watermarks[i] >= next_advance_) [[unlikely]]
        AdvanceTo(watermarks[i]);
      const std::int64_t epoch = EpochOf(event_times[i]);
      // A record far ahead takes the watermark with it: its epoch has no place on the circle before that. Whether its id is
      // known is still a question to the horizon before it.
      if (!started_ || epoch - horizon_ > kEpochsAhead) [[unlikely]] {
        if (!Knows(hash[i - begin], keys[i])) AdvanceTo(event_times[i] - out_of_orderness_);
      }
      const bool known = InsertOrFind(hash[i - begin], keys[i], static_cast<std::uint16_t>(epoch));
      seen[i] = known ? 1 : 0;
      if (!known) Remember(keys[i], epoch);
    }
  }
}

template <typename Key>
std::int64_t DedupeTable<Key>::TakeDelta(std::string& out) {
  const std::size_t size = delta_.size();
  out = std::exchange(delta_, {});
  ReserveDelta(size + size / 8);  // the next one will be about as large
  const std::int64_t newest = std::exchange(delta_newest_, std::numeric_limits<std::int64_t>::min() / quantum_ / 2);
  return (newest + 1) * quantum_ + within_;
}

template <typename Key>
Status DedupeTable<Key>::Load(std::string_view run, EventTime watermark) {
  if (run.size() % kRunEntryBytes != 0) {
    return Fail(ErrorKind::kCorruption,
                "a run of dedupe ids has " + std::to_string(run.size()) + " bytes, no multiple of " + std::to_string(kRunEntryBytes));
  }
  if (watermark.value >= next_advance_) AdvanceTo(watermark.value);
  const std::size_t count = run.size() / kRunEntryBytes;
  std::uint64_t hashes[kChunk];
  for (std::size_t begin = 0; begin < count; begin += kChunk) {
    const std::size_t end = std::min(count, begin + kChunk);
    EnsureRoom();
    for (std::size_t i = begin; i < end; ++i) {
      const std::uint64_t hash = HashOf(LoadLe<Key>(run.data() + i * kRunEntryBytes));
      Fetch(hash);
      hashes[i - begin] = hash;
    }
    for (std::size_t i = begin; i < end; ++i) {
      const char* entry = run.data() + i * kRunEntryBytes;
      const auto epoch = LoadLe<std::int64_t>(entry + sizeof(Key));
      if (started_ && epoch < horizon_) continue;
      InsertOrFind(hashes[i - begin], LoadLe<Key>(entry), static_cast<std::uint16_t>(epoch));
    }
  }
  return {};
}

template class DedupeTable<std::uint64_t>;
template class DedupeTable<Hash128>;

}  // namespace sightline::flow
