#include "apps/sightline/commands/doctor.h"

#include <algorithm>
#include <ostream>

#include "apps/sightline/client.h"
#include "apps/sightline/examination.h"
#include "apps/sightline/output.h"

namespace sightline::app {
namespace {

std::vector<Finding> Examine(const Context& context) {
  std::vector<Finding> findings;
  const std::string file = context.ConfigFile();
  config::Config config;
  const auto there = context.world.files.Exists(file);
  const bool wanted = !context.config_file.empty() || (there && *there);
  auto loaded = wanted ? context.LoadConfig() : Result<config::Config>(std::unexpected(Error{}));
  if (loaded) {
    config = std::move(*loaded);
    findings.push_back({"configuration", Health::kGood, file + " has no mistakes", ""});
  } else {
    if (wanted) {
      const std::string& message = loaded.error().message;
      findings.push_back({"configuration", Health::kProblem, message.substr(0, message.find('\n')), "sightline check " + file});
    } else {
      findings.push_back(
          {"configuration", Health::kWarning, "there is no " + file + " here", "give one by --config FILE; the defaults are looked at"});
    }
    config = config::Defaults();
    if (!context.data.empty()) config.data = context.data;
  }
  const bool running = FindServer(context.world, config.data).has_value();
  findings.push_back(ExamineDirectory(context.world, config.data));
  findings.push_back(ExamineFileSystemType(config.data));
  findings.push_back(ExamineFreeSpace(context.world, config.data));
  findings.push_back(ExamineClock(context.world));
  findings.push_back(ExamineOpenFiles(config.limits.requests.connections_max));
  findings.push_back(ExamineProcessor());
  findings.push_back(ExamineMemory(config.state.memory_max + config.drivers.statistics.memory_max));
  findings.push_back(ExamineHugePages(context.world));
  findings.push_back(ExaminePort("listen.http", config.listen.http, running));
  findings.push_back(ExaminePort("listen.health", config.listen.health, running));
  findings.push_back(ExamineSecretFile("admin token", config.data + "/admin.token"));
  if (config.listen.tls) findings.push_back(ExamineSecretFile("TLS key", config.listen.tls->key));
  return findings;
}

Result<Exit> Doctor(Context& context) {
  const std::vector<Finding> findings = Examine(context);
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
  line.Add("doctor", "Looks whether this machine and directory are fit, and says what to do", Group::kConfigure)
      .Describe(
          "Looks at the configuration, the data directory, free space, the clock, limits, the processor, memory, ports and secrets. "
          "Ends with 1 if there is a problem; warnings are not problems.")
      .Example("sightline doctor --config presets/top-items/sightline.yaml", "before the first start")
      .Example("sightline doctor --format json", "for a deployment")
      .Run(Doctor);
}

}  // namespace sightline::app
