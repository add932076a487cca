#include "sightline/serve/live/live_board.h"

namespace sightline::serve {
namespace {
// Groups of a pipeline; more are not shown live (the metric says so), they are in the store all the same.
constexpr std::size_t kGroupsMax = 1'000'000;
}  // namespace

struct LiveBoard::Pipeline {
  explicit Pipeline(std::shared_ptr<const ResultShape> s) : shape(std::move(s)) {}
  mutable std::mutex mutex;
  std::shared_ptr<const ResultShape> shape;
  std::uint64_t generation = 0;  // 0: any
  std::uint64_t incarnation = 1;
  std::uint64_t version = 0;
  std::unordered_map<std::string, std::shared_ptr<const LiveKey>> keys;
  LiveView view;
};

struct LiveBoard::Wakers {
  std::shared_mutex mutex;
  std::uint64_t next = 0;
  std::map<std::uint64_t, std::function<void()>> all;
};

LiveBoard::LiveBoard(std::uint64_t epoch, ops::Metrics& metrics) : epoch_(epoch), wakers_(std::make_shared<Wakers>()) {
  published_ = metrics.AddCounter("sightline_live_published_total", "Groups published to the live board.");
  ignored_ = metrics.AddCounter("sightline_live_ignored_total",
                                "Groups not shown live: outdated, of another generation, or beyond a million groups.");
}

LiveBoard::~LiveBoard() = default;

std::shared_ptr<LiveBoard::Pipeline> LiveBoard::Find(std::string_view pipeline) const {
  const std::shared_lock lock(mutex_);
  const auto found = pipelines_.find(pipeline);
  return found == pipelines_.end() ? nullptr : found->second;
}

std::shared_ptr<LiveBoard::Pipeline> LiveBoard::FindOrMake(const std::shared_ptr<const ResultShape>& shape) {
  if (auto there = Find(shape->pipeline)) return there;
  const std::lock_guard lock(mutex_);
  auto& slot = pipelines_[shape->pipeline];
  if (slot == nullptr) slot = std::make_shared<Pipeline>(shape);
  return slot;
}

void LiveBoard::Declare(std::shared_ptr<const ResultShape> shape, std::uint64_t generation) {
  const auto pipeline = FindOrMake(shape);
  {
    const std::lock_guard lock(pipeline->mutex);
    if (pipeline->generation == generation) return;
    const bool fresh = pipeline->generation == 0 && pipeline->version == 0;
    pipeline->generation = generation;
    pipeline->shape = std::move(shape);
    if (fresh) return;
    pipeline->view.Clear();
    pipeline->keys.clear();
    ++pipeline->incarnation;
  }
  Wake();
}

void LiveBoard::Publish(const std::shared_ptr<const ResultShape>& shape, std::span<const LiveGroup> groups) {
  if (groups.empty()) return;
  const auto pipeline = FindOrMake(shape);
  // Copying is done before the lock, so that workers of other partitions wait for pointers alone.
  struct Coming {
    std::string key;
    std::shared_ptr<LiveEntry> entry;
  };
  std::vector<Coming> coming;
  coming.reserve(groups.size());
  for (const LiveGroup& group : groups) {
    coming.push_back({LiveKeyBytes(*shape, *group.rows, group.begin), std::make_shared<LiveEntry>(shape, group)});
  }
  std::size_t taken = 0, nothing = 0;
  {
    const std::lock_guard lock(pipeline->mutex);
    for (std::size_t i = 0; i < coming.size(); ++i) {
      const ResultHeader& header = groups[i].header;
      if (pipeline->generation != 0 && header.generation != pipeline->generation) continue;
      auto found = pipeline->keys.find(coming[i].key);
      if (found == pipeline->keys.end()) {
        if (coming[i].entry->empty()) {
          ++nothing;  // it never had rows here
          continue;
        }
        if (pipeline->keys.size() >= kGroupsMax) continue;
        auto key = MakeLiveKey(*shape, *groups[i].rows, groups[i].begin);
        key.id = static_cast<std::uint32_t>(pipeline->keys.size());
        found = pipeline->keys.emplace(std::move(coming[i].key), std::make_shared<const LiveKey>(std::move(key))).first;
      }
      if (pipeline->view.Accepts(found->second->id, *coming[i].entry)) {
        coming[i].entry->Place(found->second, ++pipeline->version);
        pipeline->view.Apply(std::move(coming[i].entry));
        ++taken;
      } else if (coming[i].entry->empty()) {
        ++nothing;
      }
    }
  }
  published_->Add(taken);
  ignored_->Add(groups.size() - taken - nothing);
  if (taken > 0) Wake();
}

std::shared_ptr<const ResultShape> LiveBoard::Shape(std::string_view pipeline) const {
  const auto found = Find(pipeline);
  if (found == nullptr) return nullptr;
  const std::lock_guard lock(found->mutex);
  return found->shape;
}

std::vector<std::string> LiveBoard::Pipelines() const {
  const std::shared_lock lock(mutex_);
  std::vector<std::string> names;
  for (const auto& [name, pipeline] : pipelines_) names.push_back(name);
  return names;
}

LiveBoard::Changes LiveBoard::Since(std::string_view pipeline, std::uint64_t incarnation, std::uint64_t version) const {
  Changes changes;
  const auto found = Find(pipeline);
  if (found == nullptr) return changes;
  const std::lock_guard lock(found->mutex);
  changes.incarnation = found->incarnation;
  changes.version = found->version;
  if (incarnation != found->incarnation) version = 0;
  found->view.ForEachSince(version, [&](const auto& entry) { changes.entries.push_back(entry); });
  return changes;
}

std::vector<std::shared_ptr<const LiveEntry>> LiveBoard::OpenWindows(std::string_view pipeline) const {
  std::vector<std::shared_ptr<const LiveEntry>> open;
  const auto found = Find(pipeline);
  if (found == nullptr) return open;
  const std::lock_guard lock(found->mutex);
  found->view.ForEach([&](const auto& entry) {
    if (entry->header().state == ResultState::kOpen) open.push_back(entry);
  });
  return open;
}

std::shared_ptr<void> LiveBoard::Subscribe(std::function<void()> waker) {
  const std::lock_guard lock(wakers_->mutex);
  const std::uint64_t id = wakers_->next++;
  wakers_->all.emplace(id, std::move(waker));
  return std::shared_ptr<void>(wakers_.get(), [wakers = wakers_, id](void*) {
    const std::lock_guard removal(wakers->mutex);
    wakers->all.erase(id);
  });
}

void LiveBoard::Wake() const {
  const std::shared_lock lock(wakers_->mutex);
  for (const auto& [id, waker] : wakers_->all) waker();
}

}  // namespace sightline::serve
