#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "sightline/base/bytes.h"
#include "sightline/bus/embedded/format.h"

namespace sightline::bus {

// Remembers what was appended to one partition, so that an append that is sent again is answered and not repeated: the last
// sequences of each producer, and idempotency tags for 24 h. Rebuilt from batch headers and the segments' sidecar files.
// About 120 bytes a tag, 400 a producer. Not thread-safe; the partition guards it.
class RetryTable {
 public:
  static constexpr std::chrono::hours kTagsKept{24};
  // A camera that was away this long begins anew.
  static constexpr std::chrono::hours kProducersKept{24 * 30};
  static constexpr std::size_t kSequencesKept = 16;

  struct Tag {
    IdempotencyTag tag;
    Offset base;
    std::uint32_t count = 0;
    AppendTime at;
  };

  // What was answered before, or nothing when the batch is new. kAlreadyExists: the tag was used for another request, or
  // the sequence lies too far back to be answered; kFailedPrecondition: sequences between are missing.
  Result<std::optional<Appended>> Find(const BatchHeader& batch, AppendTime now);
  // `batch` has its place.
  void Remember(const BatchHeader& batch);
  void RememberTag(const Tag& tag);
  // What was remembered at `from` and later did not happen.
  void ForgetFrom(Offset from);

  // Tags of the batches at `from` and later.
  std::vector<Tag> TagsFrom(Offset from) const;
  void SaveProducers(ByteWriter& out) const;
  Status LoadProducers(ByteReader& in);
  std::size_t tags() const { return tags_.size(); }
  bool empty() const { return tags_.empty() && producers_.empty(); }

 private:
  struct TagKey {
    Hash128 key;
    std::uint32_t part = 0;
    friend bool operator==(const TagKey&, const TagKey&) = default;
  };
  struct TagKeyHash {
    std::size_t operator()(const TagKey& k) const { return Mix64(k.key.low ^ (k.key.high + k.part)); }
  };
  struct Place {
    Offset base;
    std::uint32_t count = 0;
  };
  // Places of the newest `known` sequences, the last one at index (last % kSequencesKept).
  struct Producer {
    std::uint64_t last = 0;
    AppendTime at;
    std::size_t known = 0;
    std::array<Place, kSequencesKept> places;
  };
  void DropOldTags(AppendTime now);
  void DropOldProducers(AppendTime now);

  std::unordered_map<TagKey, Tag, TagKeyHash> tags_;
  std::deque<TagKey> in_order_;  // of their offsets
  std::unordered_map<std::uint64_t, Producer> producers_;
  AppendTime producers_checked_;
};

}  // namespace sightline::bus
