#pragma once

#include <string>
#include <vector>

#include "connectors/kafka/kafka_bus.h"
#include "sightline/model/time.h"
#include "sightline/runtime/clock.h"

namespace sightline::kafka {

// One thing that was looked at.
struct Looked {
  enum class State : std::uint8_t { kGood, kWarning, kProblem };
  std::string name;  // "kafka topic camera_events"
  State state = State::kGood;
  std::string found;
  std::string remedy;  // empty when nothing is to be done
};

// Looks at a cluster as a set-up with these topics would use it: reachable, who we are to it, what we may, how old it is, how its clock
// goes, and which settings would lose data. Changes nothing that stays: what it writes to see whether it may is taken back (an aborted
// transaction), and topics are made on trial alone.
std::vector<Looked> ExamineKafka(const KafkaBusOptions& options, const std::vector<bus::TopicSpec>& topics, const runtime::Clock& clock);

// Looks at topics that others write as a gate would read them: one topic, or those that a pattern with '*' names. Nothing where the cluster
// cannot be reached.
std::vector<Looked> ExamineOthers(const KafkaBusOptions& options, const std::string& from);

}  // namespace sightline::kafka
