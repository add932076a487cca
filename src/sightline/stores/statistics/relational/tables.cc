#include "sightline/stores/statistics/relational/tables.h"

#include <algorithm>
#include <cctype>
#include <tuple>

#include "sightline/base/text.h"

namespace sightline::stores::relational {
namespace {

Error NoPipeline(const std::vector<TableInfo>& tables, const std::string& pipeline) {
  std::vector<std::string_view> names;
  for (const TableInfo& info : tables) names.push_back(info.table.shape.pipeline);
  const std::string_view near = DidYouMean(pipeline, names);
  return {ErrorKind::kNotFound, "the statistics have no results of a pipeline " + pipeline +
                                    (near.empty() ? std::string() : "; did you mean " + std::string(near) + "?")};
}

}  // namespace

bool SameName(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, [](unsigned char x, unsigned char y) { return std::tolower(x) == std::tolower(y); });
}

std::vector<StatisticsTable> Listed(const std::vector<TableInfo>& tables) {
  std::vector<StatisticsTable> list;
  for (const TableInfo& info : tables) list.push_back(info.table);
  std::ranges::sort(list, {}, [](const StatisticsTable& table) { return std::tie(table.shape.pipeline, table.generation); });
  return list;
}

Result<TableInfo> FindActive(const std::vector<TableInfo>& tables, const std::string& pipeline) {
  for (const TableInfo& info : tables) {
    if (info.table.active && info.table.shape.pipeline == pipeline) return info;
  }
  return std::unexpected(NoPipeline(tables, pipeline));
}

Result<TableInfo> FindGeneration(const std::vector<TableInfo>& tables, const std::string& pipeline, std::uint64_t generation) {
  bool known = false;
  for (const TableInfo& info : tables) {
    if (info.table.shape.pipeline != pipeline) continue;
    known = true;
    if (info.table.generation == generation) return info;
  }
  if (!known) return std::unexpected(NoPipeline(tables, pipeline));
  return Fail(ErrorKind::kNotFound, "the statistics have no generation " + std::to_string(generation) + " of pipeline " + pipeline);
}

Result<TableInfo> PlanTable(const std::vector<TableInfo>& tables, const ResultShape& shape, std::uint64_t generation) {
  TableInfo info{.id = 1, .table = {.shape = shape, .generation = generation, .active = true}};
  for (const TableInfo& other : tables) {
    info.id = std::max(info.id, other.id + 1);
    const ResultShape& there = other.table.shape;
    if (there.pipeline != shape.pipeline) {
      // A view's name does not tell upper from lower case.
      if (SameName(there.pipeline, shape.pipeline)) {
        return Fail(ErrorKind::kInvalidArgument, "pipelines " + there.pipeline + " and " + shape.pipeline +
                                                     " differ only in upper and lower case; the statistics cannot tell them apart");
      }
      continue;
    }
    info.table.active = false;
    if (other.table.generation != generation) continue;
    if (there.schema == shape.schema && there.group == shape.group && there.windowed == shape.windowed) return TableInfo{};
    return Fail(ErrorKind::kFailedPrecondition, "generation " + std::to_string(generation) + " of pipeline " + shape.pipeline +
                                                    " is stored with other columns; another plan must have another generation");
  }
  return info;
}

Status CheckRequest(const TableInfo& table, const ApplyRequest& request) {
  std::map<std::int32_t, Offset> next;
  for (const auto& consumed : request.consumed) {
    if (!next.emplace(consumed.partition.value, consumed.next).second) {
      return Fail(ErrorKind::kInvalidArgument, "partition " + std::to_string(consumed.partition.value) + " is named twice");
    }
  }
  if (request.results->schema() != table.table.shape.schema) {
    return Fail(ErrorKind::kInvalidArgument, "results of " + request.pipeline + " have other columns than the stored generation");
  }
  for (const auto& group : request.results->groups()) {
    const auto at = next.find(group.partition.value);
    if (at == next.end() || group.offset >= at->second) {
      return Fail(ErrorKind::kInvalidArgument, "offset " + std::to_string(group.offset.value) + " of partition " +
                                                   std::to_string(group.partition.value) + " lies behind what is said to be consumed");
    }
  }
  return {};
}

Status CheckSince(const ApplyRequest& request, const std::map<std::int32_t, Offset>& stored) {
  for (const auto& [partition, from] : request.since) {
    const auto at = stored.find(partition.value);
    const Offset there = at == stored.end() ? Offset(0) : at->second;
    if (from <= there) continue;
    return Fail(ErrorKind::kFailedPrecondition,
                "the statistics have partition " + std::to_string(partition.value) + " of " + request.topic + " up to offset " +
                    std::to_string(there.value) + ", and results from " + std::to_string(from.value) +
                    " on were brought: the store went back (a backup was restored, or commits were lost); they are read again from there");
  }
  return {};
}

}  // namespace sightline::stores::relational
