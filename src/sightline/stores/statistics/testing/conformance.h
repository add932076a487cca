#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sightline/base/result.h"
#include "sightline/stores/statistics/port.h"

namespace sightline::stores::testing {

// One row of the shape that the suite works with.
struct TestRow {
  std::optional<std::int64_t> oid;
  std::optional<std::string> location;
  std::string item;
  std::optional<std::int64_t> count;
  friend bool operator==(const TestRow&, const TestRow&) = default;
};

// A pipeline like the shipped ones: grouped by geographical_location_oid, an identifier that may be null.
ResultShape TestShape(const std::string& pipeline);

// One result record: window of a minute from `start`, rows of one group.
ResultRecord TestRecord(std::int64_t start, std::uint32_t revision, const std::vector<TestRow>& rows);
// The same for a group that a correction has emptied.
ResultRecord TestEmptied(std::int64_t start, std::uint32_t revision, std::optional<std::int64_t> oid);

// Opens the store whose data lies in `directory`; again after it was closed or its process ended.
using StoreMaker = std::function<Result<std::unique_ptr<StatisticsStore>>(const std::string& directory)>;

// Registers the tests that every statistics store passes, as "<name>StatisticsStore.<test>".
void RegisterConformance(const std::string& name, const StoreMaker& maker);

// A fresh directory below the system's temporary one, removed with everything in it.
class TestDirectory {
 public:
  TestDirectory();
  ~TestDirectory();
  TestDirectory(const TestDirectory&) = delete;
  TestDirectory& operator=(const TestDirectory&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace sightline::stores::testing
