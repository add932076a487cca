#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sightline/bus/port.h"

// What the conformance suite of the bus works with; conformance.h holds the tests.
namespace sightline::bus::testing {

// One bus under test with its surroundings. Topics of different harnesses do not meet.
class BusHarness {
 public:
  virtual ~BusHarness() = default;
  virtual Bus& bus() = 0;
  // Ends the bus in good order and opens it again over the same data. Readers and owners are gone by then.
  virtual void Reopen() = 0;
  // Loses whatever is not durable and opens the bus again; false where the implementation cannot be made to.
  virtual bool Crash() { return false; }
  // The clock of the bus moves on; false where it cannot be moved.
  virtual bool Advance(std::chrono::milliseconds) { return false; }
  // Offsets are left out, so that a record's is not one more than the one's before it.
  virtual bool HasGaps() const { return false; }
  // Removes now what retention allows; false where the implementation does so when it likes.
  virtual bool ApplyRetention() { return false; }
};

struct BusCase {
  std::string name;
  std::function<std::unique_ptr<BusHarness>()> make;
};
inline std::string BusCaseName(const ::testing::TestParamInfo<BusCase>& info) { return info.param.name; }
inline void PrintTo(const BusCase& bus_case, std::ostream* out) { *out << bus_case.name; }

// A record as a test compares it.
struct Record {
  std::int64_t offset = 0;
  std::string value;
  std::string key;
  friend bool operator==(const Record&, const Record&) = default;
};
inline void PrintTo(const Record& record, std::ostream* out) { *out << record.offset << ":" << record.key << "=" << record.value; }

class BusConformance : public ::testing::TestWithParam<BusCase> {
 protected:
  void SetUp() override { harness_ = GetParam().make(); }
  Bus& bus() { return harness_->bus(); }
  TopicPartition EnsureTopic(const std::string& name, const std::function<void(TopicSpec&)>& change = {});
  Result<Appended> Append(const TopicPartition& to, const std::vector<std::string>& values,
                          const std::function<void(AppendBatch&)>& change = {});
  // Everything visible from an offset on.
  Result<std::vector<Record>> ReadFrom(const TopicPartition& from, std::int64_t offset);
  std::vector<std::string> Values(const TopicPartition& from, std::int64_t offset = 0);

  std::unique_ptr<BusHarness> harness_;
};

// Appends under an idempotency tag.
class RetryConformance : public BusConformance {};
// What holds for the embedded log on top.
class LogConformance : public BusConformance {};

// "v0", "v1" … `count` of them, the first being `first`.
std::vector<std::string> Numbered(int count, int first = 0);
std::vector<std::string_view> Views(const std::vector<std::string>& strings);

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(BusConformance);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(RetryConformance);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(LogConformance);

}  // namespace sightline::bus::testing
