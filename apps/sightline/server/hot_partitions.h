#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace sightline::app {

// Notices partitions that are too much for the one core that works on each: their lag grows from look to look while most others of
// their pipeline have next to nothing to do. A pipeline that is behind as a whole is no such case: it needs more cores, or time.
// Thread-safe.
class HotPartitions {
 public:
  struct Lag {
    std::int32_t partition = 0;
    std::int64_t records = 0;
  };
  struct Change {
    Lag lag;
    bool hot = false;
    std::int64_t others_records = 0;  // the lag that half of the partitions have at most
  };
  // Called every few seconds with all partitions of a pipeline; what has become different by it.
  std::vector<Change> Look(const std::string& pipeline, const std::vector<Lag>& lags);
  bool Hot(const std::string& pipeline, std::int32_t partition) const;

 private:
  struct Seen {
    std::int64_t records = 0;
    int grown = 0;  // looks in a row
    bool hot = false;
  };
  mutable std::mutex mutex_;
  std::map<std::pair<std::string, std::int32_t>, Seen> seen_;
};

}  // namespace sightline::app
