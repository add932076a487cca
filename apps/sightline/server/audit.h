#pragma once

#include <functional>
#include <string>
#include <vector>

#include "apps/sightline/server/data_plane.h"

namespace sightline::app {

// The accounting identity of one pipeline on a dataset, counted anew from the log.
struct PipelineAudit {
  std::string pipeline;
  std::string dataset;
  std::uint64_t in = 0;               // offered: read from the topic, and refused before it
  std::uint64_t refused_at_ingest = 0;
  std::uint64_t log_records = 0;      // records of the topic up to the pipeline's positions, ticks left out
  std::uint64_t gone = 0;             // offsets that retention has removed: taken as counted
  std::uint64_t dropped = 0;          // offsets of the topic given up by repair or at the disk limit: counted or not
  std::uint64_t waiting = 0;          // records behind the pipeline's positions: offered, not judged yet
  flow::Counters counters;            // what the pipeline says it did, ingest's refusals added
  std::uint64_t dead_letters = 0;     // in the pipeline's topic
  std::uint64_t replayed = 0;         // dead letters that were offered again, each once
  std::uint64_t result_rows = 0;      // in its results topic
  std::uint64_t result_rows_said = 0;
  bool holds = false;
  std::vector<std::string> differences;
};

struct AuditReport {
  bool holds = true;
  std::vector<PipelineAudit> pipelines;
  std::string ToJson() const;
};

// Where an audit looks: the log, and what the tasks say that they have done.
struct AuditSource {
  bus::Bus& bus;
  const flow::Plan& plan;
  std::function<Result<std::vector<flow::TaskStatus>>()> tasks;
  // Whether records may come in while it counts.
  enum class Log : std::uint8_t { kStill, kMoving } log = Log::kMoving;
  // Whether offsets count records: those of a topic that transactions write have gaps.
  enum class Offsets : std::uint8_t { kDense, kWithGaps } offsets = Offsets::kDense;
};

// Reads the topics from their beginning and compares; while records keep coming it waits for a moment where all positions
// belong together, some seconds at most. Blocks.
Result<AuditReport> Audit(const AuditSource& source);
Result<AuditReport> Audit(DataPlane& plane, const flow::Plan& plan);

}  // namespace sightline::app
