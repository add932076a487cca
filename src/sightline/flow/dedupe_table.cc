#include "sightline/flow/dedupe_table.h"

#include <immintrin.h>
#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <new>

#include "sightline/base/bytes.h"

namespace sightline::flow {
namespace {

constexpr std::int64_t kSweepEpochs = 0x2000;
constexpr std::int64_t kEpochsAhead = 0x7fff;
constexpr std::size_t kHugePage = 2U << 20;

// Zeroed memory, on huge pages once it is large enough to fill one: a probe then costs half as much.
void* AllocateTable(std::size_t bytes) {
  void* at = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) throw std::bad_alloc();
  if (bytes >= kHugePage) madvise(at, bytes, MADV_HUGEPAGE);
  return at;
}

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
DedupeTable<Key>::DedupeTable(std::int64_t within, std::int64_t out_of_orderness, std::uint64_t seed)
    : within_(within),
      out_of_orderness_(out_of_orderness),
      // Epochs of live ids span within + out_of_orderness, and must stay below half of the 16-bit circle.
      quantum_(std::max<std::int64_t>(1, (within + out_of_orderness) / 32766 + 1)),
      quantum_inverse_(1.0 / static_cast<double>(quantum_)),
      seed_(seed),
      next_advance_(std::numeric_limits<std::int64_t>::min()) {
  double size = 48;
  for (Segment& segment : segments_) {
    // Staggered sizes, so that segments do not all grow at the same moment.
    Rebuild(segment, static_cast<std::uint64_t>(size));
    size *= 1.014;
  }
}

template <typename Key>
DedupeTable<Key>::~DedupeTable() {
  for (Segment& segment : segments_) munmap(segment.buckets, segment.count * sizeof(Bucket));
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
void DedupeTable<Key>::EnsureRoom() {
  for (Segment& segment : segments_) {
    if ((segment.used + kChunk) * 10 <= segment.count * kSlots * 9) continue;
    // What has expired since the last time needs no room: only what lives decides about growth.
    std::uint64_t live = segment.used;
    if (segment.rebuilt_at != horizon_) {
      live = 0;
      for (std::uint64_t b = 0; b < segment.count; ++b) {
        for (int i = 0; i < segment.buckets[b].used; ++i) live += Live(segment.buckets[b].epochs[i]) ? 1 : 0;
      }
    }
    std::uint64_t buckets = segment.count;
    while ((live + kChunk) * 10 > buckets * kSlots * 8) buckets += buckets / 4 + 16;
    Rebuild(segment, buckets);
  }
}

// Positions rise with the hash, so both tables are walked front to back and growth runs at memory speed.
template <typename Key>
void DedupeTable<Key>::Rebuild(Segment& segment, std::uint64_t bucket_count) {
  Segment fresh;
  fresh.count = bucket_count;
  fresh.rebuilt_at = horizon_;
  fresh.buckets = static_cast<Bucket*>(AllocateTable(bucket_count * sizeof(Bucket)));
  bytes_ += bucket_count * sizeof(Bucket);
  std::swap(segment, fresh);
  size_ -= fresh.used;
  for (std::uint64_t b = 0; b < fresh.count; ++b) {
    const Bucket& bucket = fresh.buckets[b];
    for (int i = 0; i < bucket.used; ++i) {
      if (!Live(bucket.epochs[i])) continue;
      std::uint64_t at = static_cast<std::uint64_t>((static_cast<Uint128>(HashOf(bucket.keys[i]) << 4) * segment.count) >> 64);
      while (segment.buckets[at].used == kSlots) at = at + 1 == segment.count ? 0 : at + 1;
      Bucket& to = segment.buckets[at];
      to.keys[to.used] = bucket.keys[i];
      to.epochs[to.used] = bucket.epochs[i];
      ++to.used;
      ++segment.used;
    }
  }
  size_ += segment.used;
  if (fresh.buckets != nullptr) {
    bytes_ -= fresh.count * sizeof(Bucket);
    munmap(fresh.buckets, fresh.count * sizeof(Bucket));
  }
}

template <typename Key>
bool DedupeTable<Key>::InsertOrFind(std::uint64_t hash, const Key& key, std::uint16_t epoch) {
  Segment& segment = segments_[hash >> 60];
  auto at = static_cast<std::uint64_t>((static_cast<Uint128>(hash << 4) * segment.count) >> 64);
  Bucket* expired = nullptr;
  int expired_slot = 0;
  for (;;) {
    Bucket& bucket = segment.buckets[at];
    int match = MatchMask(bucket.keys, key) & ((1 << bucket.used) - 1);
    while (match != 0) {
      const int slot = std::countr_zero(static_cast<unsigned>(match));
      if (Live(bucket.epochs[slot])) return true;
      match &= match - 1;
    }
    if (expired == nullptr) {
      for (int i = 0; i < bucket.used; ++i) {
        if (!Live(bucket.epochs[i])) {
          expired = &bucket;
          expired_slot = i;
          break;
        }
      }
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
    at = at + 1 == segment.count ? 0 : at + 1;
  }
  expired->keys[expired_slot] = key;
  expired->epochs[expired_slot] = epoch;
  return false;
}

template <typename Key>
bool DedupeTable<Key>::Knows(std::uint64_t hash, const Key& key) const {
  const Segment& segment = segments_[hash >> 60];
  auto at = static_cast<std::uint64_t>((static_cast<Uint128>(hash << 4) * segment.count) >> 64);
  for (;;) {
    const Bucket& bucket = segment.buckets[at];
    for (int i = 0; i < bucket.used; ++i) {
      if (bucket.keys[i] == key && Live(bucket.epochs[i])) return true;
    }
    if (bucket.used < kSlots) return false;
    at = at + 1 == segment.count ? 0 : at + 1;
  }
}

template <typename Key>
void DedupeTable<Key>::Probe(std::span<const Key> keys, std::span<const std::int64_t> event_times, std::span<const std::int64_t> watermarks,
                             std::span<std::uint8_t> seen) {
  std::uint64_t hashes[kChunk];
  for (std::size_t begin = 0; begin < keys.size(); begin += kChunk) {
    const std::size_t end = std::min(keys.size(), begin + kChunk);
    EnsureRoom();
    for (std::size_t i = begin; i < end; ++i) {
      const std::uint64_t hash = HashOf(keys[i]);
      const Segment& segment = segments_[hash >> 60];
      const auto at = static_cast<std::uint64_t>((static_cast<Uint128>(hash << 4) * segment.count) >> 64);
      __builtin_prefetch(&segment.buckets[at], 1);
      hashes[i - begin] = hash;
    }
    for (std::size_t i = begin; i < end; ++i) {
      if (watermarks[i] >= next_advance_) [[unlikely]]
        AdvanceTo(watermarks[i]);
      const std::int64_t epoch = EpochOf(event_times[i]);
      // A record far ahead takes the watermark with it: its epoch has no place on the circle before that. Whether its id is
      // known is still a question to the horizon before it.
      if (!started_ || epoch - horizon_ > kEpochsAhead) [[unlikely]] {
        if (!Knows(hashes[i - begin], keys[i])) AdvanceTo(event_times[i] - out_of_orderness_);
      }
      const bool known = InsertOrFind(hashes[i - begin], keys[i], static_cast<std::uint16_t>(epoch));
      seen[i] = known ? 1 : 0;
      if (!known) {
        delta_keys_.push_back(keys[i]);
        delta_epochs_.push_back(epoch);
      }
    }
  }
}

template <typename Key>
std::int64_t DedupeTable<Key>::TakeDelta(std::string& out) {
  std::int64_t newest = std::numeric_limits<std::int64_t>::min() / quantum_ / 2;
  out.resize(delta_keys_.size() * kRunEntryBytes);
  char* to = out.data();
  for (std::size_t i = 0; i < delta_keys_.size(); ++i, to += kRunEntryBytes) {
    StoreLe(to, delta_keys_[i]);
    StoreLe(to + sizeof(Key), delta_epochs_[i]);
    newest = std::max(newest, delta_epochs_[i]);
  }
  delta_keys_.clear();
  delta_epochs_.clear();
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
      const Segment& segment = segments_[hash >> 60];
      const auto at = static_cast<std::uint64_t>((static_cast<Uint128>(hash << 4) * segment.count) >> 64);
      __builtin_prefetch(&segment.buckets[at], 1);
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
