#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "sightline/base/result.h"
#include "sightline/flow/plan.h"
#include "sightline/model/ids.h"
#include "sightline/model/result.h"
#include "sightline/model/verdict.h"

namespace sightline::flink {

// What a job writes for us, and what it becomes: a message of flink.PIPELINE is a result record, one of flink.PIPELINE.late says which
// record of the dataset's topic is a dead letter. docs/formats/flink.md.

// Turns messages of one pipeline into records of its results topic. Not thread-safe; the plan must outlive it.
class ResultMessages {
 public:
  ResultMessages(const flow::Plan& plan, const flow::PipelinePlan& pipeline);
  // Appends the record; how many rows it has. kCorruption for a message that no job of this pipeline wrote.
  Result<std::size_t> Encode(std::string_view message, std::string& out);
  // The end of the newest window among those that were encoded.
  EventTime newest() const { return newest_; }

 private:
  Status TakeRows(std::string_view message, ResultHeader& header);
  void PutInOrder();

  const flow::PipelinePlan& pipeline_;
  std::vector<int> order_;  // columns by which the rows of a result stand in order
  ColumnBatch rows_;
  EventTime newest_ = kWatermarkNone;
};

struct LateMessage {
  Partition partition;
  Offset offset;
  Verdict reason = Verdict::kLate;
};
// kCorruption.
Result<LateMessage> ParseLateMessage(std::string_view message);

// Milliseconds of "2026-01-31T12:00:00.5", in UTC; years may have a sign and more digits.
Result<EventTime> ParseFlinkTime(std::string_view text);

}  // namespace sightline::flink
