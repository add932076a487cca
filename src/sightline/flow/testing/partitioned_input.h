#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "sightline/flow/plan.h"
#include "sightline/flow/testing/naive_pipeline.h"

namespace sightline::flow::testing {

// A record or tick in one partition of the dataset `readings`.
struct Entry {
  std::int64_t append_time = 0;
  bool tick = false;
  std::string line;
};

enum class Ticks : std::uint8_t { kNone, kSome };

// Random readings in several partitions for a random pipeline, `counts`, and one over all of its results, `over_all`; and the naive
// model, which has seen all of them. The last reading of each partition closes every other window.
struct PartitionedInput {
  static constexpr std::int32_t kPartitions = 3;

  NaivePlan naive;
  governance::Contract contract = ReadingContract();
  std::unique_ptr<Plan> plan;
  std::vector<std::vector<Entry>> partitions;
  std::vector<NaivePipeline> models;
  std::size_t broken = 0;  // records that no model has seen

  // The models' rows together.
  NaiveRows Counts() const;
};
// Null, and a failure of the test, when the plan does not compile.
std::unique_ptr<PartitionedInput> MakePartitionedInput(std::uint64_t seed, Ticks ticks);

// Topic and partition ("results.counts/0") -> its records.
using Topics = std::map<std::string, std::vector<std::string>>;
// The newest rows in the results topics of a pipeline whose first `keys` columns are its key.
NaiveRows RowsIn(const Plan& plan, const Topics& topics, const std::string& pipeline, std::size_t keys);

}  // namespace sightline::flow::testing
