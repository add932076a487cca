#include "sightline/runtime/failpoints.h"

#include <csignal>

#include <algorithm>
#include <array>
#include <charconv>

#include "sightline/base/text.h"

namespace sightline::runtime {
namespace {

// In order of the way of a record. A stage that adds a place adds its name here.
constexpr std::array kNames = {
    std::string_view("bus.append.before_write"),
    std::string_view("bus.append.after_write"),
    std::string_view("bus.segment.created"),
    std::string_view("bus.flush.before_sync"),
    std::string_view("bus.flush.after_sync"),
    std::string_view("bus.flush.before_sidecar"),
    std::string_view("bus.state.before_write"),
    std::string_view("bus.truncate.before_cut"),
    std::string_view("bus.retention.before_remove"),
    std::string_view("bus.group.before_sync"),
    std::string_view("bus.group.after_sync"),
    std::string_view("bus.topic.before_create"),
    std::string_view("flow.commit.begin"),
    std::string_view("flow.commit.outputs_durable"),
    std::string_view("flow.commit.before_journal"),
    std::string_view("flow.commit.journal_written"),
    std::string_view("flow.commit.journal_durable"),
    std::string_view("flow.commit.published"),
    std::string_view("flow.snapshot.ids_written"),
    std::string_view("flow.snapshot.durable"),
    std::string_view("statistics.apply.before_commit"),
    std::string_view("statistics.apply.after_commit"),
    std::string_view("statistics.sink.before_hold"),
    std::string_view("migrate.marked"),
    std::string_view("migrate.topic.copied"),
    std::string_view("migrate.state.moved"),
    std::string_view("migrate.results.copied"),
    std::string_view("migrate.compared"),
    std::string_view("migrate.done"),
};

Status UnknownName(std::string_view name) {
  const std::string_view meant = DidYouMean(name, kNames);
  return Fail(ErrorKind::kInvalidArgument,
              "there is no failpoint " + std::string(name) + (meant.empty() ? "" : "; did you mean " + std::string(meant) + "?"));
}

}  // namespace

std::vector<std::string_view> Failpoints::Names() { return {kNames.begin(), kNames.end()}; }

Result<Failpoints*> Failpoints::Parse(std::string_view spec, Failpoints& into) {
  std::vector<Armed> points;
  for (const std::string_view item : Split(spec, ',')) {
    if (item.empty()) continue;
    const std::size_t equals = item.find('=');
    const std::size_t at = item.find('@');
    Armed point;
    point.name = item.substr(0, equals);
    if (std::ranges::find(kNames, point.name) == kNames.end()) {
      return std::unexpected(UnknownName(point.name).error());
    }
    const std::string_view action =
        equals == std::string_view::npos ? "" : item.substr(equals + 1, at == std::string_view::npos ? at : at - equals - 1);
    if (action != "kill" && action != "error") {
      return Fail(ErrorKind::kInvalidArgument,
                  "failpoint " + std::string(item) + ": write NAME=kill@N or NAME=error@N, N being the hit that counts");
    }
    point.kill = action == "kill";
    if (at != std::string_view::npos) {
      const char* end = item.data() + item.size();
      const auto [stopped, error] = std::from_chars(item.data() + at + 1, end, point.at);
      if (error != std::errc() || stopped != end || point.at == 0) {
        return Fail(ErrorKind::kInvalidArgument, "failpoint " + std::string(item) + ": the number after @ starts at 1");
      }
    }
    points.push_back(std::move(point));
  }
  const std::lock_guard lock(into.mutex_);
  into.points_ = std::move(points);
  into.armed_ = !into.points_.empty();
  return &into;
}

Status Failpoints::HitArmed(std::string_view name) {
  const std::lock_guard lock(mutex_);
  for (Armed& point : points_) {
    if (point.name != name || ++point.hits != point.at) continue;
    if (point.kill) {
      std::raise(SIGKILL);
    }
    return Fail(ErrorKind::kIo, "failpoint " + point.name);
  }
  return {};
}

}  // namespace sightline::runtime
