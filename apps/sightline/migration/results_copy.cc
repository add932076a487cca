#include "apps/sightline/migration/results_copy.h"

#include <algorithm>

#include "apps/sightline/progress.h"
#include "sightline/base/bytes.h"
#include "sightline/base/hash.h"
#include "sightline/tabular/append.h"

namespace sightline::app {
namespace {

constexpr std::size_t kTransactionRows = 10'000;
// Columns of a row as queries show it: the window's bounds, the pipeline's own, state and revision.
constexpr std::size_t kBefore = 2;

bool SameValue(const Column& a, std::size_t i, const Column& b, std::size_t j) {
  if (a.IsNull(i) || b.IsNull(j)) return a.IsNull(i) == b.IsNull(j);
  switch (a.type) {
    case FieldType::kInt64:
    case FieldType::kBool: return a.int64s[i] == b.int64s[j];
    case FieldType::kDouble: return LoadLe<std::uint64_t>(&a.doubles[i]) == LoadLe<std::uint64_t>(&b.doubles[j]);
    case FieldType::kString: return a.strings[i] == b.strings[j];
  }
  return false;
}

void PutValue(const Column& column, std::size_t row, ByteWriter& out) {
  out.Put<std::uint8_t>(column.IsNull(row) ? 1 : 0);
  if (column.IsNull(row)) return;
  switch (column.type) {
    case FieldType::kInt64:
    case FieldType::kBool: out.Put(column.int64s[row]); break;
    case FieldType::kDouble: out.Put(column.doubles[row]); break;
    case FieldType::kString: out.PutString(column.strings[row]); break;
  }
}

}  // namespace

Result<std::unique_ptr<StoredGroups>> StoredGroups::Open(stores::StatisticsStore& store, const ResultShape& shape,
                                                         std::uint64_t generation) {
  SL_ASSIGN_OR_RETURN(std::unique_ptr<stores::RowStream> rows, store.Select({.pipeline = shape.pipeline}));
  return std::unique_ptr<StoredGroups>(new StoredGroups(shape, generation, std::move(rows)));
}

// Whether a row of the chunk is one of the group in hand.
bool StoredGroups::Belongs(std::size_t row) const {
  if (group_.rows.rows == 0 || chunk_.columns[0].int64s[row] != group_.header.window_start.value) return false;
  return std::ranges::all_of(shape_.group, [&](int key) {
    const auto k = static_cast<std::size_t>(key);
    return SameValue(chunk_.columns[kBefore + k], row, group_.rows.columns[k], 0);
  });
}

void StoredGroups::Begin(std::size_t row) {
  const std::size_t after = kBefore + shape_.schema.fields.size();
  const std::string_view state = chunk_.columns[after].strings[row];
  group_.header = {.generation = generation_,
                   .revision = static_cast<std::uint32_t>(chunk_.columns[after + 1].int64s[row]),
                   .state = state == ResultStateName(ResultState::kCorrected) ? ResultState::kCorrected : ResultState::kFinal,
                   .window_start = EventTime(chunk_.columns[0].int64s[row]),
                   .window_end = EventTime(chunk_.columns[1].int64s[row]),
                   .reference_version = 0};
}

void StoredGroups::Take(std::size_t begin, std::size_t end) {
  tabular::Grow(group_.rows, group_.rows.rows + end - begin);
  for (std::size_t c = 0; c < group_.rows.columns.size(); ++c) {
    tabular::AppendColumn(chunk_.columns[kBefore + c], begin, end, c, group_.rows);
  }
  group_.rows.rows += end - begin;
}

Result<const ResultRecord*> StoredGroups::Next() {
  group_.rows.Reset(shape_.schema, 0);
  for (;;) {
    if (at_ == chunk_.rows) {
      at_ = 0;
      if (!done_) {
        SL_ASSIGN_OR_RETURN(const bool more, rows_->Next(chunk_));
        done_ = !more;
      }
      if (done_) {
        chunk_.rows = 0;
        return group_.rows.rows == 0 ? nullptr : &group_;
      }
      continue;
    }
    if (group_.rows.rows == 0) {
      Begin(at_);
      Take(at_, at_ + 1);
      ++at_;
    }
    std::size_t end = at_;
    while (end < chunk_.rows && Belongs(end)) ++end;
    Take(at_, end);
    at_ = end;
    if (at_ < chunk_.rows) return &group_;
  }
}

Result<RowsDigest> DigestOf(stores::StatisticsStore& store, const std::string& pipeline) {
  SL_ASSIGN_OR_RETURN(const std::unique_ptr<stores::RowStream> rows, store.Select({.pipeline = pipeline}));
  RowsDigest digest;
  ColumnBatch chunk;
  std::string bytes;
  for (;;) {
    SL_ASSIGN_OR_RETURN(const bool more, rows->Next(chunk));
    if (!more) return digest;
    for (std::size_t row = 0; row < chunk.rows; ++row) {
      bytes.clear();
      ByteWriter out(bytes);
      for (const Column& column : chunk.columns) PutValue(column, row, out);
      digest.hash = Hash64(bytes, digest.hash);
      ++digest.rows;
    }
  }
}

Result<bool> HoldsResults(stores::StatisticsStore& store, const flow::PipelinePlan& pipeline) {
  SL_ASSIGN_OR_RETURN(const std::vector<stores::StatisticsTable> tables, store.Tables());
  for (const stores::StatisticsTable& table : tables) {
    if (table.shape.pipeline != pipeline.name || !table.active) continue;
    if (table.generation == pipeline.fingerprint) return true;
    return Fail(ErrorKind::kFailedPrecondition,
                "the statistics still show the results of " + pipeline.name +
                    " as it was before it was changed: let the server run until the new ones have caught up, then call again");
  }
  return false;
}

Status ResultsCopy::Copy(const flow::PipelinePlan& pipeline, const flow::OffsetMaps& maps) {
  SL_ASSIGN_OR_RETURN(const bool there, HoldsResults(from_, pipeline));
  if (!there) return {};
  SL_TRY(to_.Ensure(pipeline.shape, pipeline.fingerprint));
  SL_TRY(CopyRows(pipeline));
  return CopyPositions(pipeline, maps);
}

Status ResultsCopy::CopyRows(const flow::PipelinePlan& pipeline) {
  SL_ASSIGN_OR_RETURN(const auto stored, to_.Offsets(pipeline.name, pipeline.fingerprint, topic_));
  const std::int64_t there = stored.empty() ? 0 : stored.front().next.value;
  SL_ASSIGN_OR_RETURN(const std::unique_ptr<StoredGroups> groups, StoredGroups::Open(from_, pipeline.shape, pipeline.fingerprint));
  Progress progress(context_, "copying results of " + pipeline.name, "groups");
  stores::ResultBatch batch(pipeline.shape.schema);
  std::int64_t number = 0;
  std::int64_t applied = there;
  const auto apply = [&]() -> Status {
    stores::ApplyRequest request{.pipeline = pipeline.name, .generation = pipeline.fingerprint, .topic = topic_, .results = &batch};
    request.consumed.push_back({Partition(0), Offset(number)});
    if (applied > 0) request.since.push_back({Partition(0), Offset(applied)});
    SL_TRY(to_.Apply(request));
    applied = number;
    batch.Clear();
    progress.Update(static_cast<std::uint64_t>(number));
    return failpoints_.Hit("migrate.results.copied");
  };
  for (;;) {
    SL_ASSIGN_OR_RETURN(const ResultRecord* const group, groups->Next());
    if (group == nullptr) break;
    if (number >= there) SL_TRY(batch.Add(Partition(0), Offset(number), *group, pipeline.shape));
    ++number;
    if (batch.rows().rows >= kTransactionRows) SL_TRY(apply());
  }
  return batch.groups().empty() ? Status() : apply();
}

// A sink that begins on the other side goes on behind what the rows came from.
Status ResultsCopy::CopyPositions(const flow::PipelinePlan& pipeline, const flow::OffsetMaps& maps) {
  const std::string topic = flow::Plan::ResultsTopic(pipeline.name);
  SL_ASSIGN_OR_RETURN(const auto stored, from_.Offsets(pipeline.name, pipeline.fingerprint, topic));
  if (stored.empty()) return {};
  const stores::ResultBatch none(pipeline.shape.schema);
  stores::ApplyRequest request{.pipeline = pipeline.name, .generation = pipeline.fingerprint, .topic = topic, .results = &none};
  for (const auto& [partition, next] : stored) {
    const auto map = maps.find({topic, partition});
    if (map == maps.end())
      return Fail(ErrorKind::kCorruption,
                  "the statistics name partition " + std::to_string(partition.value) + " of " + topic + ", which was not moved");
    request.consumed.push_back({partition, map->second.PositionAt(next)});
  }
  SL_TRY(to_.Apply(request));
  return {};
}

}  // namespace sightline::app
