#pragma once

#include <string>
#include <vector>

#include "connectors/postgres/connection.h"
#include "connectors/postgres/examination.h"

namespace sightline::postgres {

// Connects, and says how that went.
Result<Connection> ExamineConnection(const ConnectionOptions& options, const runtime::Clock& clock, std::vector<Check>& checks);
// A check that could not be made is a problem.
void AddCheck(std::vector<Check>& checks, const std::string& name, Result<Check> check);

}  // namespace sightline::postgres
