#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "apps/sightline/framework.h"
#include "sightline/flow/offset_map.h"
#include "sightline/flow/plan.h"
#include "sightline/model/result.h"
#include "sightline/runtime/failpoints.h"
#include "sightline/stores/statistics/port.h"

namespace sightline::app {

// The rows of a pipeline's active generation as the records that they came from, oldest window first: what a store holds of it, group by
// group. Not thread-safe.
class StoredGroups {
 public:
  // The store must outlive it.
  static Result<std::unique_ptr<StoredGroups>> Open(stores::StatisticsStore& store, const ResultShape& shape, std::uint64_t generation);
  StoredGroups(const StoredGroups&) = delete;
  StoredGroups& operator=(const StoredGroups&) = delete;

  // The next group, or null after the last. Valid until the next call.
  Result<const ResultRecord*> Next();

 private:
  StoredGroups(const ResultShape& shape, std::uint64_t generation, std::unique_ptr<stores::RowStream> rows)
      : shape_(shape), generation_(generation), rows_(std::move(rows)) {}
  bool Belongs(std::size_t row) const;
  void Begin(std::size_t row);
  void Take(std::size_t begin, std::size_t end);

  const ResultShape& shape_;
  const std::uint64_t generation_;
  std::unique_ptr<stores::RowStream> rows_;
  ColumnBatch chunk_;
  std::size_t at_ = 0;  // in chunk_
  bool done_ = false;
  ResultRecord group_;
};

// The rows of a pipeline's active generation: how many, and a number that is the same for the same rows.
struct RowsDigest {
  std::uint64_t rows = 0;
  std::uint64_t hash = 0;
  friend bool operator==(const RowsDigest&, const RowsDigest&) = default;
};
Result<RowsDigest> DigestOf(stores::StatisticsStore& store, const std::string& pipeline);

// Copies a pipeline's rows from one store to another, through the port. How many groups have come is kept with their rows, so that a call
// that was killed goes on behind them. At last the target stands where the source stood in the results topic.
class ResultsCopy {
 public:
  // `id` of the migration. All must outlive it.
  ResultsCopy(const Context& context, stores::StatisticsStore& from, stores::StatisticsStore& to, const std::string& id,
              runtime::Failpoints& failpoints)
      : context_(context), from_(from), to_(to), topic_("migration." + id), failpoints_(failpoints) {}

  // kFailedPrecondition when another generation than the plan's is what `from` shows.
  Status Copy(const flow::PipelinePlan& pipeline, const flow::OffsetMaps& maps);

 private:
  Status CopyRows(const flow::PipelinePlan& pipeline);
  Status CopyPositions(const flow::PipelinePlan& pipeline, const flow::OffsetMaps& maps);

  const Context& context_;
  stores::StatisticsStore& from_;
  stores::StatisticsStore& to_;
  const std::string topic_;  // in whose one partition groups are counted; it is on no bus
  runtime::Failpoints& failpoints_;
};

// Whether a store shows results of the pipeline under this plan. kFailedPrecondition when it shows those of another one.
Result<bool> HoldsResults(stores::StatisticsStore& store, const flow::PipelinePlan& pipeline);

}  // namespace sightline::app
