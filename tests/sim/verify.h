#pragma once

#include "sightline/runtime/random.h"
#include "tests/sim/producers.h"
#include "tests/sim/readers.h"
#include "tests/sim/world.h"

namespace sightline::sim {

// What must hold when everything has come to rest: no fault is left, nothing is unanswered, every task is open and has read its input.
class Verification {
 public:
  Verification(World& world, const Scenario& scenario, Checks& checks, runtime::Random& random)
      : world_(world), scenario_(scenario), checks_(checks), random_(random) {}
  void Run(const Producers& producers, const Sinks& sinks, const std::vector<Follower>& inputs);

 private:
  struct Undisturbed {
    std::vector<std::vector<std::string>> results;  // one a member
    std::vector<std::string> dead_letters;
    flow::Counters counters;
    std::vector<flow::MemberOutput> members;
  };
  void CheckPosts(const std::vector<Post>& posts, const std::vector<Follower>& inputs);
  void CheckSinks(const Sinks& sinks);
  void CheckPartition(std::int32_t partition, const Follower& input, const Sinks& sinks);
  Undisturbed RunUndisturbed(std::int32_t partition, const std::vector<SeenRecord>& log);
  void CheckSame(const std::string& check, const std::string& topic, const std::vector<std::string>& expected, const Sinks::Sink& sink);
  void CheckCounts(std::int32_t partition, const std::vector<SeenRecord>& log, const Undisturbed& undisturbed);
  void CheckModel(std::int32_t partition, const std::vector<SeenRecord>& log, const Sinks& sinks);
  void CheckDeadLetters(std::int32_t partition, const std::vector<std::pair<std::int64_t, Verdict>>& expected, const Sinks& sinks);
  void CheckCountedRows(std::int32_t partition, const Sinks& sinks);
  void CheckOverall(const Sinks& sinks);
  std::map<std::int64_t, std::size_t> AllowedCorrections(const Sinks& sinks);
  void CheckOverallCounts(const Sinks& sinks);
  const flow::PipelinePlan& PlanOf(const char* pipeline) const;

  World& world_;
  const Scenario& scenario_;
  Checks& checks_;
  runtime::Random& random_;
  std::map<std::string_view, const Offered*> offered_;
  std::vector<flow::testing::NaiveModel> models_;  // one a partition
};

}  // namespace sightline::sim
