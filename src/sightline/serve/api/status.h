#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sightline/model/time.h"
#include "sightline/model/verdict.h"

namespace sightline::serve {

// What GET /v1/status shows. Filled by the wiring from what the components count; everything is a copy.
struct ServerStatus {
  struct TopicPartitionStatus {
    std::int32_t partition = 0;
    std::int64_t start = 0;
    std::int64_t end = 0;
    std::int64_t durable = 0;
    std::uint64_t bytes = 0;
  };
  struct Dataset {
    std::string name;
    std::string topic;
    std::vector<TopicPartitionStatus> partitions;
  };
  struct PipelinePartition {
    std::int32_t partition = 0;
    std::int64_t offset = 0;
    std::int64_t end = 0;
    double rate_per_s = 0;
    std::optional<std::int64_t> watermark;   // epoch ms
    bool hot = false;                        // falls behind while others wait for work
    std::optional<std::int64_t> restore_ms;  // how long the newest restart or takeover took; none while it goes on
    std::int64_t lag_records() const { return std::max<std::int64_t>(0, end - offset); }
  };
  // What makes a pipeline's results on another engine.
  struct Job {
    std::string engine;  // "flink"
    std::string id;
    std::string state;   // in the engine's words; empty: it says nothing
    std::int64_t restarts = 0;
    std::int64_t checkpoints = 0;
    std::int64_t checkpoints_failed = 0;
    std::optional<std::int64_t> checkpoint_at;  // epoch ms
    std::string failure;                        // the newest that is remembered
  };
  struct Pipeline {
    std::string name;
    std::optional<Job> job;
    bool failed = false;
    std::optional<std::string> error;
    std::uint64_t in = 0;
    std::array<std::uint64_t, kVerdicts> verdicts{};  // each record under its newest; they sum up to `in`
    std::array<std::uint64_t, kVerdicts> replayed{};  // records that were offered again, by the verdict they had before
    std::uint64_t unknown_location = 0;
    std::uint64_t partially_late = 0;
    std::uint64_t extra_fields = 0;  // of accepted records: those that the contract does not name
    std::uint64_t results = 0;
    double rate_per_s = 0;
    std::int64_t lag_records = 0;
    std::int64_t lag_ms = 0;
    std::optional<std::int64_t> watermark;  // epoch ms; the least of its partitions
    std::uint64_t open_windows = 0;
    std::uint64_t state_bytes = 0;
    std::uint64_t commits = 0;
    std::vector<PipelinePartition> partitions;
  };
  struct Sink {
    std::string name;  // "statistics/top_items"
    std::int64_t offset = 0;
    std::int64_t end = 0;
    std::optional<std::string> error;
  };
  // What takes over the topics that others write; of this process.
  struct Gate {
    std::string dataset;
    std::string from;
    std::uint64_t in = 0;
    std::uint64_t accepted = 0;
    std::uint64_t malformed = 0;
    std::uint64_t invalid = 0;
    std::uint64_t lost = 0;
    std::size_t partitions = 0;
    std::int64_t lag_records = 0;
    bool registry_answers = true;
    std::optional<std::string> error;
  };

  std::string version;
  std::int64_t uptime_ms = 0;
  WallTime now;
  std::vector<Dataset> datasets;
  std::vector<Pipeline> pipelines;
  std::vector<Sink> sinks;
  std::vector<Gate> gates;
  std::int64_t live_clients = 0;
  double live_messages_per_s = 0;
};

std::string ToJson(const ServerStatus& status);

}  // namespace sightline::serve
