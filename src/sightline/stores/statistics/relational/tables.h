#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "sightline/base/result.h"
#include "sightline/model/result.h"
#include "sightline/stores/statistics/port.h"

namespace sightline::stores::relational {

// One generation of a pipeline and the number that its tables are named by.
struct TableInfo {
  std::int32_t id = 0;
  StatisticsTable table;
};

// Whether two names are one where case does not count.
bool SameName(std::string_view a, std::string_view b);

// The tables as the port shows them, by name and generation.
std::vector<StatisticsTable> Listed(const std::vector<TableInfo>& tables);
// Those of one pipeline; kNotFound names a near pipeline, or the generation.
Result<TableInfo> FindActive(const std::vector<TableInfo>& tables, const std::string& pipeline);
Result<TableInfo> FindGeneration(const std::vector<TableInfo>& tables, const std::string& pipeline, std::uint64_t generation);
// What Ensure has to do: the table to be made, or one with id 0 when it is there. kFailedPrecondition when the generation is there with
// another shape, kInvalidArgument when another pipeline's name differs in case only.
Result<TableInfo> PlanTable(const std::vector<TableInfo>& tables, const ResultShape& shape, std::uint64_t generation);

// kInvalidArgument when an Apply does not fit the table, or itself.
Status CheckRequest(const TableInfo& table, const ApplyRequest& request);
// kFailedPrecondition when a partition is stored less far than the request goes on from: what lies between would be missing.
Status CheckSince(const ApplyRequest& request, const std::map<std::int32_t, Offset>& stored);

}  // namespace sightline::stores::relational
