#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sightline/bus/port.h"
#include "sightline/model/dead_letter.h"

namespace sightline::serve::internal {

// Dead letters of several topics, newest first, though a log is read forwards alone: each partition is read in short pieces from its
// end back, and the newest of their heads comes next. What is appended after the first page is not in the pages that follow.
// Not thread-safe; lives for one page.
class DeadLetterPages {
 public:
  struct Place {
    TopicPartition partition;
    Offset offset;
  };
  using Take = std::function<void(const Place& place, const DeadLetter& letter)>;

  // `cursor`: empty, or that of the page before, with the same topics. kInvalidArgument when it is none.
  static Result<DeadLetterPages> Open(bus::Bus& bus, const std::vector<std::string>& topics, std::string_view cursor);

  // Hands over up to `limit` letters, of one reason or all. Fewer although there are more when a rare reason takes long to find, or
  // when `full` says that it is enough.
  Status Read(std::optional<Verdict> reason, std::int64_t limit, const std::function<bool()>& full, const Take& take);
  // Where to go on; nothing at the end.
  std::optional<std::string> cursor() const;

 private:
  struct Found {
    Offset offset;
    WallTime received;
  };
  struct Source {
    TopicPartition partition;
    Offset start;
    Offset end;                // what lies before it was not looked at
    std::vector<Found> found;  // not handed over yet; the newest last
    bool exhausted() const { return found.empty() && end <= start; }
    // One past the newest that was not handed over.
    Offset next() const { return found.empty() ? end : found.back().offset + 1; }
  };
  explicit DeadLetterPages(bus::Bus& bus) : bus_(bus) {}
  Status LookBack(Source& source, std::optional<Verdict> reason);
  Status HandOver(Source& source, const Take& take);

  bus::Bus& bus_;
  std::vector<Source> sources_;
  std::int64_t looked_at_ = 0;
};

}  // namespace sightline::serve::internal
