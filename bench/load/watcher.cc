#include "bench/load/watcher.h"

#include <algorithm>
#include <charconv>
#include <stdexcept>

namespace sightline::bench {
namespace {

constexpr int kSlowReceiveBytes = 4096;
constexpr std::string_view kWindow = "\"window_start\":";
constexpr std::string_view kLocation = "\"geographical_location_oid\":";
constexpr std::string_view kItem = "\"item_name\":\"item-";
constexpr std::string_view kCount = "\"item_count\":";

// The integer at `at`, with quotes around it or none.
std::int64_t IntegerAt(std::string_view text, std::size_t at) {
  if (at < text.size() && text[at] == '"') ++at;
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data() + at, text.data() + text.size(), value);
  if (error != std::errc()) throw std::runtime_error("a live message has no number where one belongs: " + std::string(text.substr(0, 200)));
  return value;
}

}  // namespace

Watcher::Watcher(const Server& server, std::int64_t location, bool slow)
    : connection_(server, slow ? kSlowReceiveBytes : 0), location_(location), slow_(slow) {
  connection_.Upgrade("/v1/pipelines/top_items/live?rate=all" +
                      (location == kAllLocations ? std::string() : "&geographical_location_oid=" + std::to_string(location)));
}

void Watcher::Read(const Schedule* schedule, std::int64_t count_from, std::vector<std::uint32_t>& delays_us) {
  if (connection_.Read(bytes_, Connection::Wait::kNo) == 0) return;
  now_ = Schedule::Clock::now();
  std::string_view rest = bytes_;
  while (TakeFrame(rest, schedule, count_from, delays_us)) {
  }
  bytes_.erase(0, bytes_.size() - rest.size());
}

// RFC 6455: two bytes of head, a length of 0, 2 or 8 more, then the text; a server's frames are not masked.
bool Watcher::TakeFrame(std::string_view& rest, const Schedule* schedule, std::int64_t count_from, std::vector<std::uint32_t>& delays_us) {
  if (rest.size() < 2) return false;
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(rest[i]); };
  const int opcode = byte(0) & 0x0f;
  std::size_t size = byte(1) & 0x7f;
  const std::size_t head = size == 127 ? 10 : size == 126 ? 4 : 2;
  if (rest.size() < head) return false;
  if (head > 2) {
    size = 0;
    for (std::size_t i = 2; i < head; ++i) size = size << 8 | byte(i);
  }
  if (rest.size() - head < size) return false;
  const std::string_view text = rest.substr(head, size);
  if (opcode == 1) TakeMessage(text, schedule, count_from, delays_us);
  if (opcode == 9) Answer(text);
  if (opcode == 8) throw std::runtime_error("the server closed a WebSocket");
  rest.remove_prefix(head + size);
  return true;
}

void Watcher::Answer(std::string_view ping) {
  std::string pong = {'\x8a', static_cast<char>(0x80 | ping.size()), 0, 0, 0, 0};  // masked with zeros
  connection_.Send(pong.append(ping));
}

void Watcher::TakeMessage(std::string_view text, const Schedule* schedule, std::int64_t count_from, std::vector<std::uint32_t>& delays_us) {
  ++messages_;
  for (std::size_t at = text.find(kWindow); at != std::string_view::npos;) {
    const std::size_t next = text.find(kWindow, at + kWindow.size());
    const std::string_view group = text.substr(at, next == std::string_view::npos ? next : next - at);
    const std::int64_t window = IntegerAt(group, kWindow.size());
    const std::size_t key = group.find(kLocation);
    if (key == std::string_view::npos) throw std::runtime_error("a live message has a group without a location");
    const std::int64_t location = IntegerAt(group, key + kLocation.size());
    for (std::size_t item = group.find(kItem, key); item != std::string_view::npos; item = group.find(kItem, item + 1)) {
      const std::size_t count = group.find(kCount, item);
      if (count == std::string_view::npos) break;
      TakeCount(window, location, IntegerAt(group, item + kItem.size()), IntegerAt(group, count + kCount.size()), schedule, count_from,
                delays_us);
    }
    at = next;
  }
}

Watcher::Window& Watcher::WindowAt(std::int64_t start_ms) {
  Window& window = windows_[start_ms / Schedule::kWindowMs % 2];
  if (window.start_ms < start_ms) {
    const auto cells = static_cast<std::size_t>(location_ == kAllLocations ? Schedule::kCells : Schedule::kItems);
    window.start_ms = start_ms;
    window.base.assign(cells, 0);
    window.visible.assign(cells, 0);
  }
  return window;
}

void Watcher::TakeCount(std::int64_t window_ms, std::int64_t location, std::int64_t item, std::int64_t count, const Schedule* schedule,
                        std::int64_t count_from, std::vector<std::uint32_t>& delays_us) {
  if (item >= Schedule::kItems || location >= Schedule::kLocations) return;
  Window& window = WindowAt(window_ms);
  if (window.start_ms != window_ms) return;  // older than both
  const std::int64_t cell = Schedule::CellOf(location, item);
  const auto at = static_cast<std::size_t>(location_ == kAllLocations ? cell : item);
  if (schedule == nullptr) {
    window.base[at] = window.visible[at] = count;
    return;
  }
  for (std::int64_t seen = window.visible[at] + 1; seen <= count; ++seen) {
    const std::int64_t number = schedule->Nth(window_ms, cell, seen - window.base[at]);
    if (number >= schedule->events) throw std::runtime_error("more events were counted than were sent");
    ++seen_;
    if (number < count_from) continue;
    const auto delay = std::chrono::duration_cast<std::chrono::microseconds>(now_ - schedule->Due(number)).count();
    delays_us.push_back(static_cast<std::uint32_t>(std::max<std::int64_t>(0, delay)));
  }
  window.visible[at] = std::max(window.visible[at], count);
}

}  // namespace sightline::bench
