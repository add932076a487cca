#include "apps/sightline/server/overall_live.h"

#include <map>

#include "sightline/flow/close_steps.h"

namespace sightline::app {
namespace {

constexpr auto kInterval = std::chrono::milliseconds(250);

}  // namespace

OverallLive::OverallLive(const flow::Plan& plan, serve::LiveBoard& board) : plan_(plan), board_(board) {
  for (std::size_t i = 0; i < plan.pipelines.size(); ++i) {
    const flow::PipelinePlan& root = plan.pipelines[i];
    if (root.kind != flow::PipelineKind::kMerge) continue;
    Family family;
    family.parent = root.from;
    std::map<int, std::size_t> position;
    bool watched = false;
    for (std::size_t j = i; j < plan.pipelines.size(); ++j) {
      const flow::PipelinePlan& member = plan.pipelines[j];
      if (member.root != static_cast<int>(i)) continue;
      position[static_cast<int>(j)] = family.members.size();
      family.members.push_back(
          {&member, std::make_shared<const ResultShape>(member.shape), j == i ? SIZE_MAX : position.at(member.parent)});
      watched = watched || member.to_live;
    }
    if (watched) families_.push_back(std::move(family));
  }
  if (!families_.empty()) thread_ = std::thread([this] { Run(); });
}

OverallLive::~OverallLive() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void OverallLive::Run() {
  std::unique_lock lock(mutex_);
  while (!wake_.wait_for(lock, kInterval, [this] { return stopping_; })) {
    lock.unlock();
    for (const Family& family : families_) PublishFamily(family);
    lock.lock();
  }
}

void OverallLive::PublishFamily(const Family& family) {
  std::map<std::int64_t, std::pair<ResultHeader, ColumnBatch>> windows;
  const std::vector<std::shared_ptr<const serve::LiveEntry>> open = board_.OpenWindows(family.parent);
  const flow::PipelinePlan& parent = plan_.pipelines[static_cast<std::size_t>(plan_.Find(family.parent))];
  for (const std::shared_ptr<const serve::LiveEntry>& entry : open) {
    auto& [header, rows] = windows[entry->header().window_start.value];
    header = entry->header();
    if (rows.columns.empty()) rows.Reset(parent.shape.schema, 0);
    entry->AppendRows(rows);
  }
  const flow::ActiveReferences none;
  for (auto& [start, window] : windows) {
    std::vector<ColumnBatch> rows(family.members.size());
    for (std::size_t m = 0; m < family.members.size(); ++m) {
      const Member& member = family.members[m];
      const ColumnBatch& input = member.from == SIZE_MAX ? window.second : rows[member.from];
      rows[m].rows = input.rows;
      rows[m].columns = input.columns;
      flow::ApplyCloseSteps(*member.plan, none, rows[m]);
      if (!member.plan->to_live) continue;
      ResultHeader header = window.first;
      header.generation = member.plan->fingerprint;
      header.state = ResultState::kOpen;
      std::vector<LiveGroup> groups;
      flow::ForEachGroup(*member.shape, rows[m],
                         [&](std::size_t begin, std::size_t end) { groups.push_back({header, &rows[m], begin, end}); });
      if (!groups.empty()) board_.Publish(member.shape, groups);
    }
  }
}

}  // namespace sightline::app
