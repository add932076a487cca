#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "apps/sightline/framework.h"

namespace sightline::app {

// Shows how far something is, on stderr: nothing within the first second; then one line that is rewritten on a terminal, or a
// plain line every five seconds elsewhere. Used by one thread. Update is cheap enough for every batch, not for every record.
class Progress {
 public:
  // `doing` is "sending", `unit` "events"; `total` of the same unit, 0 when unknown.
  Progress(const Context& context, std::string doing, std::string unit, std::uint64_t total = 0);
  // Clears the line.
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // `fraction` of the whole, where another measure than `done` of `total` says it better (bytes of a file).
  void Update(std::uint64_t done, std::optional<double> fraction = std::nullopt);
  // The seconds since the beginning.
  double seconds() const;

 private:
  std::string Line(std::uint64_t done, std::optional<double> fraction) const;

  const Context& context_;
  std::string doing_;
  std::string unit_;
  std::uint64_t total_;
  std::int64_t started_ns_;
  std::int64_t shown_ns_ = 0;
  bool line_is_open_ = false;
};

// Says on stderr that something goes on of which no measure is known, as Progress would: nothing within the first second, then
// "working, 3 s". A thread of its own shows it while it lives, and keeps quiet while a Progress of the same world goes on.
class Working {
 public:
  explicit Working(const Context& context, std::string doing = "working");
  // Clears the line.
  ~Working();
  Working(const Working&) = delete;
  Working& operator=(const Working&) = delete;

 private:
  void Run();
  void Show();

  const Context& context_;
  const std::string doing_;
  const std::int64_t started_ns_;
  std::int64_t shown_s_ = 0;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool ended_ = false;
  std::thread thread_;
};

}  // namespace sightline::app
