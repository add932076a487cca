#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sightline/base/hash.h"
#include "sightline/base/int128.h"
#include "sightline/base/result.h"
#include "sightline/flow/page_region.h"
#include "sightline/model/time.h"

namespace sightline::flow {

// Remembers the dedupe keys of one partition within a horizon of event time.
//
// An id is remembered until the watermark passes its first event time plus `within`; the table stores the event time
// in epochs of `quantum` (within / 32 Ki, at least 1 ms), so an id may be remembered one quantum longer, never shorter.
// What a probe answers depends on the records and watermarks seen so far only, not on batch sizes, growth or restarts.
//
// Layout: buckets of one cache line, six 8-byte keys with a 2-byte epoch each (three for 16-byte keys), in 16 segments that
// grow by a half on their own and in place, so that growth never stops the stream for long and memory is never there
// twice. A full bucket overflows into the next; behind the last one a few buckets take what overflows there. An expired entry
// counts as absent and its place is taken by the next insertion. Not thread-safe.
template <typename Key>
class DedupeTable {
 public:
  // `within` and `out_of_orderness` in milliseconds; `seed` keeps an adversary from choosing colliding keys.
  // `memory`: where it lives, which must outlive it; null: memory without a limit.
  DedupeTable(std::int64_t within, std::int64_t out_of_orderness, std::uint64_t seed, StateMemory* memory = nullptr);
  DedupeTable(const DedupeTable&) = delete;
  DedupeTable& operator=(const DedupeTable&) = delete;

  // Judges keys in their order and remembers the new ones: seen[i] = 1 if keys[i] was remembered. `watermarks[i]` is the
  // watermark before record i; it never falls. The caller has sorted out records older than the horizon.
  void Probe(std::span<const Key> keys, std::span<const std::int64_t> event_times, std::span<const std::int64_t> watermarks,
             std::span<std::uint8_t> seen);

  // Ids remembered since the last call, for the checkpoint: appends key and epoch number (8 bytes) of each, in order of
  // arrival. Load takes them back, in any order of runs; entries expired at `watermark` are skipped.
  // Returns the watermark from which on none of them is remembered.
  std::int64_t TakeDelta(std::string& out);
  // Nothing is probed any more: what a checkpoint would take is not needed.
  void DropDelta() { delta_ = {}; }
  std::size_t delta_ids() const { return delta_.size() / kRunEntryBytes; }
  Status Load(std::string_view run, EventTime watermark);

  // Makes room for `keys` more at once: growing step by step would lay them out anew again and again.
  void Reserve(std::uint64_t keys);

  // Bytes by which it grows at most if `keys` new ones come, as hashes spread them.
  std::uint64_t GrowthFor(std::size_t keys) const;
  // Takes out what has expired at `watermark` and gives room back, if so much time has passed that there may be some. Changes no answer.
  void Compact(std::int64_t watermark);

  std::size_t size() const { return size_; }
  std::size_t bytes() const { return bytes_; }
  std::int64_t quantum() const { return quantum_; }
  static constexpr std::size_t kRunEntryBytes = sizeof(Key) + 8;

 private:
  static constexpr int kSegments = 16;
  static constexpr int kSlots = sizeof(Key) == 8 ? 6 : 3;
  static constexpr std::size_t kChunk = 64;
  static constexpr std::uint64_t kSpill = 16;  // buckets behind the last one that a hash leads to
  struct alignas(64) Bucket {
    Key keys[kSlots];
    std::uint16_t epochs[kSlots];
    std::uint8_t used;  // slots ever taken since the segment was last rebuilt; never shrinks between rebuilds
  };
  static_assert(sizeof(Bucket) == 64);
  struct Segment {
    PageRegion memory;
    Bucket* buckets = nullptr;
    std::uint64_t count = 0;  // of buckets that a hash leads to
    std::uint64_t used = 0;   // slots taken
    std::int64_t rebuilt_at = 0;  // the horizon then
  };
  struct Entry {
    Key key;
    std::uint16_t epoch;
  };

  std::uint64_t HashOf(const Key& key) const;
  static std::uint64_t PlaceOf(std::uint64_t hash, const Segment& segment);
  bool Knows(std::uint64_t hash, const Key& key) const;
  bool InsertOrFind(std::uint64_t hash, const Key& key, std::uint16_t epoch);
  int ExpiredMask(const Bucket& bucket) const;
  void Fetch(std::uint64_t hash) const;
  bool Live(std::uint16_t epoch) const { return static_cast<std::uint16_t>(epoch - horizon16_) < 0x8000; }
  std::int64_t EpochOf(std::int64_t event_time) const;
  void AdvanceTo(std::int64_t watermark);
  void EnsureRoom();
  void Rebuild(Segment& segment, std::uint64_t bucket_count, std::vector<Entry> homeless = {});
  void Shrink(Segment& segment, std::uint64_t bucket_count);
  void Stretch(Segment& segment, std::uint64_t before, std::vector<Entry>& homeless);
  void Close(Segment& segment);
  bool Put(Segment& segment, std::uint64_t place, const Entry& entry);
  void Remember(const Key& key, std::int64_t epoch);
  void ReserveDelta(std::size_t bytes);
  void SetHorizon(std::int64_t horizon);
  void Sweep();

  std::int64_t within_;
  std::int64_t out_of_orderness_;
  std::int64_t quantum_;
  double quantum_inverse_;
  std::uint64_t seed_;
  std::int64_t horizon_ = 0;         // oldest epoch that is still remembered
  std::uint16_t horizon16_ = 0;
  std::int64_t next_advance_;        // watermark at which the horizon moves
  std::int64_t swept_horizon_ = 0;
  std::int64_t compacted_horizon_ = std::numeric_limits<std::int64_t>::min() / 2;
  bool started_ = false;
  Segment segments_[kSegments];
  std::size_t size_ = 0;
  std::size_t bytes_ = 0;
  std::string delta_;                // as the checkpoint takes it
  std::int64_t delta_newest_;        // greatest epoch in it
};

extern template class DedupeTable<std::uint64_t>;
extern template class DedupeTable<Hash128>;

}  // namespace sightline::flow
