#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <vector>

#include "sightline/serve/live/live_entry.h"

namespace sightline::serve {

// What is on the board of one pipeline: for each group its open windows and the newest final one, with the corrections that
// came after it, and in which order they changed. The board keeps one under its lock, each hub one of its own. Not thread-safe.
//
// Rules: a window's later state replaces the earlier one; an open state never replaces a final one, nor a revision a higher
// one. A final or corrected result closes what came before: older windows of the same group leave without a word, and clients do the
// same. (Corrected too, because a client may miss the final one when both come quickly.)
class LiveView {
 public:
  using Visit = std::function<void(const std::shared_ptr<const LiveEntry>&)>;

  // Whether the entry would change anything.
  bool Accepts(std::uint32_t key, const LiveEntry& entry) const;
  // Takes an accepted entry with a version above all before.
  void Apply(std::shared_ptr<const LiveEntry> entry);
  void Clear();

  // All entries that have rows, by group.
  void ForEach(const Visit& visit) const;
  // Every entry that changed after `version`, in the order of change; empty ones too.
  void ForEachSince(std::uint64_t version, const Visit& visit) const;
  // The entries of one group that changed after `version`.
  void ForEachOfKey(std::uint32_t key, std::uint64_t version, const Visit& visit) const;

  std::size_t keys() const { return keys_.size(); }
  std::size_t entries() const { return entries_; }

 private:
  using Windows = std::vector<std::shared_ptr<const LiveEntry>>;
  struct Change {
    std::uint64_t version;
    std::uint32_t key;
  };
  void DropOlder(Windows& windows, EventTime window_start);
  void TrimLog();

  std::vector<Windows> keys_;
  std::size_t entries_ = 0;
  // Changes in order; those up to log_floor_ are not in it any more.
  std::deque<Change> log_;
  std::uint64_t log_floor_ = 0;
};

}  // namespace sightline::serve
