#include <algorithm>

#include "sightline/flow/task.h"
#include "sightline/model/dead_letter.h"
#include "sightline/tabular/json.h"
#include "tests/scenario/scenario_run.h"

namespace sightline::scenario {
namespace {

template <typename Visit>
Status ForEachRecord(bus::Bus& bus, const std::string& topic, std::int32_t partition, Visit visit) {
  SL_ASSIGN_OR_RETURN(const std::unique_ptr<bus::Reader> reader, bus.OpenReader({topic, Partition(partition)}, Offset(0)));
  for (;;) {
    SL_ASSIGN_OR_RETURN(const std::optional<bus::Batch> batch, reader->Next());
    if (!batch) return {};
    for (std::string_view value : batch->values) SL_TRY(visit(value));
  }
}

Status AddResult(const flow::PipelinePlan& pipeline, std::int32_t partition, std::string_view bytes, Table& table) {
  ResultRecord record;
  SL_TRY(DecodeResult(bytes, pipeline.shape.schema, record));
  if (record.header.generation != pipeline.fingerprint) return Fail(ErrorKind::kInternal, pipeline.name + ": a foreign generation");
  if (record.closed) return {};
  if (record.rows.rows == 0 && !record.emptied) return Fail(ErrorKind::kInternal, pipeline.name + ": a result without rows or key");
  const auto add = [&](const std::vector<std::string>& cells) {
    std::vector<std::string> row = {std::to_string(partition), std::to_string(record.header.window_start.value),
                                    std::to_string(record.header.window_end.value)};
    row.insert(row.end(), cells.begin(), cells.end());
    row.emplace_back(ResultStateName(record.header.state));
    row.push_back(std::to_string(record.header.revision));
    row.push_back(std::to_string(record.header.reference_version));
    table.rows.push_back(std::move(row));
  };
  for (std::size_t r = 0; r < (record.emptied ? 1 : record.rows.rows); ++r) {
    std::vector<std::string> cells;
    for (std::size_t c = 0; c < record.rows.columns.size(); ++c) {
      const std::vector<int>& group = pipeline.shape.group;
      if (record.emptied && std::find(group.begin(), group.end(), static_cast<int>(c)) == group.end()) {
        cells.emplace_back(kNoRow);
        continue;
      }
      Field field = pipeline.shape.schema.fields[c];
      field.identifier = false;  // a number here
      tabular::AppendJsonValue(field, record.rows.columns[c], r, cells.emplace_back());
    }
    add(cells);
  }
  return {};
}

Status AddDeadLetter(std::string_view bytes, Table& table) {
  SL_ASSIGN_OR_RETURN(const DeadLetter letter, DecodeDeadLetter(bytes));
  table.rows.push_back({std::to_string(letter.partition.value), std::to_string(letter.offset.value),
                        std::string(VerdictName(letter.reason)), std::string(letter.field), std::string(letter.cause),
                        std::string(letter.original), std::to_string(letter.received.value)});
  return {};
}

}  // namespace

Status ReadPipeline(bus::Bus& bus, const flow::Plan& plan, int index, Outcome& outcome) {
  const flow::PipelinePlan& pipeline = plan.pipelines[static_cast<std::size_t>(index)];
  Table& table = outcome.results[pipeline.name];
  std::vector<std::string>& identity = outcome.identity[pipeline.name];
  table.columns = {"partition", "window_start", "window_end"};
  identity = {"window_start"};
  for (const Field& field : pipeline.shape.schema.fields) table.columns.push_back(field.name);
  for (int column : pipeline.shape.group) identity.push_back(pipeline.shape.schema.fields[static_cast<std::size_t>(column)].name);
  table.columns.insert(table.columns.end(), {"state", "revision", "reference"});
  const bool root = pipeline.root == index;
  if (root && pipeline.kind == flow::PipelineKind::kRoot) outcome.roots.push_back(pipeline.name);
  if (plan.pipelines[static_cast<std::size_t>(pipeline.root)].kind == flow::PipelineKind::kMerge) outcome.merges.push_back(pipeline.name);
  Table& letters = outcome.dead_letters[pipeline.name];
  letters.columns = {"partition", "offset", "reason", "field", "cause", "original", "received"};
  for (std::int32_t p = 0; p < flow::PartitionsOf(plan, index); ++p) {
    SL_TRY(ForEachRecord(bus, flow::Plan::ResultsTopic(pipeline.name), p,
                         [&](std::string_view bytes) { return AddResult(pipeline, p, bytes, table); }));
    if (!root) continue;
    SL_TRY(ForEachRecord(bus, flow::Plan::DeadLetterTopic(pipeline.name), p,
                         [&](std::string_view bytes) { return AddDeadLetter(bytes, letters); }));
  }
  return {};
}

}  // namespace sightline::scenario
