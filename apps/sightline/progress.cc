#include "apps/sightline/progress.h"

#include <algorithm>
#include <cstdio>
#include <ostream>

#include "sightline/base/text.h"

#include "apps/sightline/output.h"

namespace sightline::app {
namespace {
constexpr std::int64_t kSecondNs = 1'000'000'000;
constexpr std::int64_t kTerminalEveryNs = kSecondNs / 10;
constexpr std::int64_t kPlainEveryNs = 5 * kSecondNs;
constexpr std::int64_t kMovesWithinNs = 2 * kSecondNs;
constexpr auto kLook = std::chrono::milliseconds(100);
constexpr const char* kClear = "\r\033[K";
}  // namespace

Progress::Progress(const Context& context, std::string doing, std::string unit, std::uint64_t total)
    : context_(context), doing_(std::move(doing)), unit_(std::move(unit)), total_(total), started_ns_(context.world.clock.MonotonicNs()) {}

Progress::~Progress() {
  if (!line_is_open_) return;
  const std::lock_guard lock(context_.world.progress.mutex);
  context_.err() << kClear << std::flush;
}

double Progress::seconds() const {
  return static_cast<double>(context_.world.clock.MonotonicNs() - started_ns_) / static_cast<double>(kSecondNs);
}

std::string Progress::Line(std::uint64_t done, std::optional<double> fraction) const {
  const double elapsed = std::max(seconds(), 1e-3);
  std::string line = doing_ + ": " + WithThousands(done) + " " + unit_;
  if (!fraction && total_ > 0) fraction = static_cast<double>(done) / static_cast<double>(total_);
  if (fraction) {
    const double part = std::clamp(*fraction, 0.0, 1.0);
    line += ", " + std::to_string(static_cast<int>(part * 100)) + " %";
    if (part > 0.01 && part < 1) {
      const auto left = std::chrono::seconds(static_cast<std::int64_t>(elapsed * (1 - part) / part) + 1);
      line += ", " + FormatDuration(left) + " left";
    }
  }
  return line + ", " + WithThousands(static_cast<std::uint64_t>(static_cast<double>(done) / elapsed)) + "/s";
}

void Progress::Update(std::uint64_t done, std::optional<double> fraction) {
  const std::int64_t now = context_.world.clock.MonotonicNs();
  context_.world.progress.moved_ns = now;
  if (now - started_ns_ < kSecondNs) return;
  const bool terminal = context_.world.err_is_terminal;
  if (shown_ns_ != 0 && now - shown_ns_ < (terminal ? kTerminalEveryNs : kPlainEveryNs)) return;
  shown_ns_ = now;
  const std::lock_guard lock(context_.world.progress.mutex);
  if (terminal) {
    context_.err() << "\r" << Line(done, fraction) << "\033[K" << std::flush;
    line_is_open_ = true;
  } else {
    context_.err() << Line(done, fraction) << std::endl;
  }
}

Working::Working(const Context& context, std::string doing)
    : context_(context), doing_(std::move(doing)), started_ns_(context.world.clock.MonotonicNs()), thread_([this] { Run(); }) {}

Working::~Working() {
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;
  }
  wake_.notify_all();
  thread_.join();
  if (shown_s_ == 0 || !context_.world.err_is_terminal) return;
  const std::lock_guard lock(context_.world.progress.mutex);
  context_.err() << kClear << std::flush;
}

void Working::Run() {
  std::unique_lock lock(mutex_);
  while (!wake_.wait_for(lock, kLook, [this] { return ended_; })) Show();
}

void Working::Show() {
  World& world = context_.world;
  const std::int64_t now = world.clock.MonotonicNs();
  const std::int64_t seconds = (now - started_ns_) / kSecondNs;
  const std::int64_t every = (world.err_is_terminal ? kSecondNs : kPlainEveryNs) / kSecondNs;
  if (seconds < shown_s_ + every || now - world.progress.moved_ns < kMovesWithinNs) return;
  shown_s_ = seconds;
  const std::lock_guard lock(world.progress.mutex);
  if (world.err_is_terminal) {
    context_.err() << "\r" << doing_ << ", " << seconds << " s\033[K" << std::flush;
  } else {
    context_.err() << doing_ << ", " << seconds << " s" << std::endl;
  }
}

}  // namespace sightline::app
