#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "sightline/bus/port.h"
#include "sightline/flow/committed_partition.h"
#include "sightline/flow/plan.h"
#include "sightline/flow/processor.h"
#include "sightline/gate/decoder.h"
#include "sightline/model/result.h"
#include "sightline/runtime/runtime.h"

namespace sightline::flow {

// A pipeline over a file, from its first record to its last: one partition in file order, whatever the number of threads.
struct BoundedRun {
  std::string pipeline;
  std::string input_path;        // NDJSON
  std::string scratch;           // directory for checkpoints; the bus must keep its data there as well
  int threads = 1;
  std::size_t piece_bytes = 256U << 10;
  std::chrono::milliseconds checkpoint_interval{1000};
  gate::Decoder::Limits limits;
  StateMemory* memory = nullptr;  // where the state lives; null: memory without a limit
  // Called now and then with the bytes done and the bytes in all.
  std::function<void(std::uint64_t done, std::uint64_t total)> progress;
};

struct BoundedReport {
  std::uint64_t events = 0;      // non-empty lines
  Counters counters;
  std::uint64_t results = 0;     // rows
};

// Takes the final rows: all groups of a window together, windows ascending, groups in canonical order, each once with its
// newest revision.
using RowSink = std::function<Status(const ResultHeader& header, const ResultShape& shape, const ColumnBatch& rows)>;

// `references` holds the tables to join with. Errors: those of the bus and the file; kNotFound for an unknown pipeline.
Result<BoundedReport> RunBounded(runtime::Runtime runtime, bus::Bus& bus, const Plan& plan, const ReferenceCatalog& references,
                                 const BoundedRun& run, const RowSink& sink);

}  // namespace sightline::flow
