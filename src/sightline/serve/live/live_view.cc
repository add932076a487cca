#include "sightline/serve/live/live_view.h"

#include <algorithm>
#include <cassert>

namespace sightline::serve {
namespace {

// More windows at once than any sensible sliding window has; the oldest go.
constexpr std::size_t kWindowsMax = 256;
constexpr std::size_t kLogSlack = 1024;

bool IsClosed(const ResultHeader& header) { return header.state != ResultState::kOpen; }

bool SameWindow(const ResultHeader& a, const ResultHeader& b) { return a.window_start == b.window_start && a.window_end == b.window_end; }

}  // namespace

bool LiveView::Accepts(std::uint32_t key, const LiveEntry& entry) const {
  const ResultHeader& header = entry.header();
  // An open window where a group has no rows is worth a word only to those who have seen some.
  const bool silent = entry.empty() && !IsClosed(header);
  if (key >= keys_.size()) return !silent;
  for (const auto& there : keys_[key]) {
    const ResultHeader& old = there->header();
    if (SameWindow(old, header)) {
      if (!IsClosed(header)) return !IsClosed(old) && !(silent && there->empty());
      return !IsClosed(old) || header.revision > old.revision;
    }
    // The watermark has passed this open window long ago.
    if (!IsClosed(header) && IsClosed(old) && old.window_start > header.window_start) return false;
    // A first final result of an older window comes too late to be the newest; a correction is news all the same.
    if (header.state == ResultState::kFinal && IsClosed(old) && old.window_start > header.window_start) return false;
  }
  return !silent;
}

void LiveView::DropOlder(Windows& windows, EventTime window_start) {
  entries_ -= std::erase_if(windows, [&](const auto& entry) { return entry->header().window_start < window_start; });
}

void LiveView::Apply(std::shared_ptr<const LiveEntry> entry) {
  const std::uint32_t key = entry->key().id;
  const std::uint64_t version = entry->version();
  assert(log_.empty() || log_.back().version < version);
  if (key >= keys_.size()) keys_.resize(key + 1);
  Windows& windows = keys_[key];
  if (IsClosed(entry->header())) DropOlder(windows, entry->header().window_start);
  const auto same = std::ranges::find_if(windows, [&](const auto& there) { return SameWindow(there->header(), entry->header()); });
  if (same != windows.end()) {
    *same = std::move(entry);
  } else {
    windows.push_back(std::move(entry));
    ++entries_;
    if (windows.size() > kWindowsMax) {
      windows.erase(std::ranges::min_element(windows, {}, [](const auto& there) { return there->header().window_start; }));
      --entries_;
    }
  }
  log_.push_back({version, key});
  TrimLog();
}

void LiveView::TrimLog() {
  if (log_.size() <= 2 * entries_ + kLogSlack) return;
  const auto half = static_cast<std::ptrdiff_t>(log_.size() / 2);
  log_floor_ = log_[static_cast<std::size_t>(half) - 1].version;
  log_.erase(log_.begin(), log_.begin() + half);
}

void LiveView::Clear() {
  keys_.clear();
  entries_ = 0;
  log_.clear();
  log_floor_ = 0;
}

void LiveView::ForEach(const Visit& visit) const {
  for (const Windows& windows : keys_) {
    for (const auto& entry : windows) {
      if (!entry->empty()) visit(entry);
    }
  }
}

void LiveView::ForEachSince(std::uint64_t version, const Visit& visit) const {
  if (version < log_floor_) {
    Windows changed;
    for (const Windows& windows : keys_) {
      for (const auto& entry : windows) {
        if (entry->version() > version) changed.push_back(entry);
      }
    }
    std::ranges::sort(changed, {}, [](const auto& entry) { return entry->version(); });
    for (const auto& entry : changed) visit(entry);
    return;
  }
  auto it = std::ranges::upper_bound(log_, version, {}, &Change::version);
  for (; it != log_.end(); ++it) {
    // What changed again later is visited there.
    for (const auto& entry : keys_[it->key]) {
      if (entry->version() == it->version) visit(entry);
    }
  }
}

void LiveView::ForEachOfKey(std::uint32_t key, std::uint64_t version, const Visit& visit) const {
  if (key >= keys_.size()) return;
  for (const auto& entry : keys_[key]) {
    if (entry->version() > version) visit(entry);
  }
}

}  // namespace sightline::serve
