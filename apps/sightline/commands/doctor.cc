#include "apps/sightline/commands/doctor.h"

#include <algorithm>
#include <iterator>
#include <ostream>

#include "apps/sightline/client.h"
#include "apps/sightline/examination.h"
#include "apps/sightline/kafka.h"
#include "apps/sightline/output.h"
#include "apps/sightline/plan_input.h"
#include "apps/sightline/references.h"
#include "apps/sightline/statistics.h"
#include "connectors/postgres/examination.h"

namespace sightline::app {
namespace {

// The configuration that is looked at, and what is to be said of it; the defaults where there is none to be used.
Finding ExamineConfiguration(const Context& context, const std::string& given, config::Config& config) {
  const std::string file = context.ConfigFile(given);
  config = config::Defaults();
  if (!context.data.empty()) config.data = context.data;
  const auto there = context.world.files.Exists(file);
  if (given.empty() && context.config_file.empty() && there && !*there) {
    return {"configuration", Health::kWarning, "there is no " + file + " here",
            "name one: sightline doctor FILE; the defaults are looked at"};
  }
  auto loaded = context.LoadConfig(given);
  if (!loaded) {
    const std::string& message = loaded.error().message;
    return {"configuration", Health::kProblem, message.substr(0, message.find('\n')), "sightline check " + file};
  }
  config = std::move(*loaded);
  const auto plans = CompilePlans(config);
  if (!plans) return {"configuration", Health::kProblem, plans.error().front().ToString(), "sightline check " + file};
  return {"configuration", Health::kGood, file + " has no mistakes", ""};
}

void AddChecks(std::vector<Finding>& findings, const std::string& of, const std::vector<postgres::Check>& checks) {
  std::ranges::move(FindingsOf(of, checks), std::back_inserter(findings));
}

std::vector<Finding> Examine(const Context& context, const std::string& given) {
  config::Config config;
  std::vector<Finding> findings = {ExamineConfiguration(context, given, config)};
  runtime::Failpoints failpoints;
  const runtime::Runtime runtime{context.world.clock, context.world.files, failpoints};
  Objects objects(config, runtime, stores::FileObjectStore::Access::kRead);
  for (const config::ReferenceConfig& reference : config.references) {
    if (reference.postgres) {
      AddChecks(findings, "reference " + reference.name,
                postgres::ExamineReference(FollowerOptionsOf(reference, config.data, Sharing::kNobody), context.world.clock));
    } else {
      findings.push_back(ExamineReference(context.world, reference, objects));
    }
  }
  if (config.drivers.statistics.type == config::StatisticsType::kPostgres) {
    AddChecks(findings, "statistics", postgres::ExamineStatistics(PostgresOptionsOf(config.drivers.statistics), context.world.clock));
  }
  const auto server = FindServer(context.world, config.data);
  const bool running = server.has_value();
  std::ranges::move(ExamineObjects(context.world, config, running), std::back_inserter(findings));
  findings.push_back(ExamineDirectory(context.world, config.data));
  findings.push_back(ExamineFileSystemType(config.data));
  findings.push_back(ExamineFreeSpace(context.world, config.data));
  findings.push_back(ExamineFlush(context.world, config.data));
  if (config.drivers.bus.type == config::BusType::kKafka) {
    for (Finding& finding : ExamineKafkaBus(config, context.world)) findings.push_back(std::move(finding));
  } else {
    findings.push_back(
        running ? Finding{"log", Health::kGood, "owned by the server at " + server->url + "; sightline topic verify reads it", ""}
                : ExamineLog(context, config.data));
  }
  findings.push_back(ExamineClock(context.world));
  findings.push_back(ExamineOpenFiles(config.limits.requests.connections_max));
  findings.push_back(ExamineProcessor());
  findings.push_back(
      ExamineMemory(config.state.memory_max +
                    (config.drivers.statistics.type == config::StatisticsType::kDuckdb ? config.drivers.statistics.memory_max : 0)));
  findings.push_back(ExamineHugePages(context.world));
  findings.push_back(ExaminePort("listen.http", config.listen.http, running));
  findings.push_back(ExaminePort("listen.health", config.listen.health, running));
  findings.push_back(ExamineSecretFile("admin token", config.data + "/admin.token"));
  if (config.listen.tls) findings.push_back(ExamineSecretFile("TLS key", config.listen.tls->key));
  return findings;
}

Result<Exit> Doctor(Context& context, const std::string& file) {
  const std::vector<Finding> findings = Examine(context, file);
  OutputRows rows{.columns = {{"check"}, {"state"}, {"found"}, {"remedy"}}, .rows = {}};
  int problems = 0;
  for (const Finding& finding : findings) {
    const char* state = finding.health == Health::kGood ? "ok" : finding.health == Health::kWarning ? "warning" : "problem";
    if (finding.health == Health::kProblem) ++problems;
    rows.rows.push_back({finding.name, state, finding.found, finding.remedy.empty() ? std::nullopt : std::optional(finding.remedy)});
  }
  if (context.format != Format::kTable) {
    Print(context, rows);
  } else {
    std::size_t width = 0;
    for (const Finding& finding : findings) width = std::max(width, DisplayWidth(finding.name));
    for (const Finding& finding : findings) {
      const std::string mark = finding.health == Health::kGood      ? Colored(context, Ink::kGood, "ok     ")
                               : finding.health == Health::kWarning ? Colored(context, Ink::kWarning, "warning")
                                                                    : Colored(context, Ink::kBad, "problem");
      context.out() << mark << "  " << finding.name << std::string(width - DisplayWidth(finding.name) + 2, ' ') << finding.found << "\n";
      if (!finding.remedy.empty()) context.out() << std::string(width + 11, ' ') << "-> " << finding.remedy << "\n";
    }
  }
  return problems == 0 ? Exit::kOk : Exit::kFailed;
}

}  // namespace

void AddDoctor(CommandLine& line) {
  const auto file = std::make_shared<std::string>();
  line.Add("doctor", "Looks whether this machine and directory are fit, and says what to do", Group::kConfigure)
      .Describe(
          "Looks at the configuration and its references, the object store, the data directory and its disk, the log or the Kafka cluster, "
          "the "
          "clock, limits, the processor, memory, ports and secrets. Ends with 1 if there is a problem; warnings are not problems.")
      .Argument("FILE", *file, "the configuration file; else that of --config, else ./sightline.yaml", Need::kOptional)
      .Example("sightline doctor presets/top-items/sightline.yaml", "before the first start")
      .Example("sightline doctor --format json", "for a deployment")
      .Run([file](Context& context) { return Doctor(context, *file); });
}

}  // namespace sightline::app
