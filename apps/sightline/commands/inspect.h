#pragma once

#include "apps/sightline/framework.h"

namespace sightline::app {

// topic (topic.cc), dead-letter, audit, query: looks into a data directory, by its server or without one.
void AddTopic(CommandLine& line);
void AddDeadLetter(CommandLine& line);
void AddAudit(CommandLine& line);
void AddQuery(CommandLine& line);

// An audit report (GET /v1/audit) as a table or as it is.
void PrintAudit(const Context& context, const std::string& json);

}  // namespace sightline::app
