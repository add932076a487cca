#include "apps/sightline/commands/migrate.h"

#include <memory>
#include <ostream>

#include <nlohmann/json.hpp>

#include "apps/sightline/migration/migration.h"
#include "apps/sightline/output.h"

namespace sightline::app {
namespace {

using Json = nlohmann::ordered_json;

struct MigrateCommand {
  std::string from, to;
  bool dry_run = false;
  bool stop = false;
};

std::string_view StateName(Health health) { return health == Health::kGood ? "ok" : health == Health::kWarning ? "warning" : "problem"; }

std::optional<std::string> Cell(const std::optional<std::uint64_t>& number) {
  return number ? std::optional(std::to_string(*number)) : std::nullopt;
}

Json JsonOf(const std::optional<std::uint64_t>& number) { return number ? Json(*number) : Json(); }

void PrintJson(const Context& context, const MigrationOutlook& outlook) {
  Json out;
  out["can_begin"] = outlook.in_the_way.empty();
  out["moves"] = Json::array();
  for (const MovedThing& thing : outlook.moves) {
    out["moves"].push_back({{"what", thing.what},
                            {"name", thing.name},
                            {"partitions", JsonOf(thing.partitions)},
                            {"count", JsonOf(thing.count)},
                            {"bytes", JsonOf(thing.bytes)}});
  }
  out["target"] = Json::array();
  for (const Finding& finding : outlook.target) {
    out["target"].push_back(
        {{"check", finding.name}, {"state", StateName(finding.health)}, {"found", finding.found}, {"remedy", finding.remedy}});
  }
  out["in_the_way"] = outlook.in_the_way;
  out["notes"] = outlook.notes;
  context.out() << out.dump() << "\n";
}

Result<Exit> DryRun(const Context& context, const config::Config& from, const config::Config& to) {
  SL_ASSIGN_OR_RETURN(const MigrationOutlook outlook, LookAhead(context, from, to));
  const Exit exit = outlook.in_the_way.empty() ? Exit::kOk : Exit::kFailed;
  if (context.format == Format::kJson) {
    PrintJson(context, outlook);
    return exit;
  }
  OutputRows rows{
      .columns = {{"what"}, {"name"}, {"partitions", CellKind::kNumber}, {"count", CellKind::kNumber}, {"bytes", CellKind::kNumber}},
      .rows = {}};
  for (const MovedThing& thing : outlook.moves) {
    rows.rows.push_back({thing.what, thing.name, Cell(thing.partitions), Cell(thing.count), Cell(thing.bytes)});
  }
  Print(context, rows);
  if (context.format == Format::kCsv) return exit;
  for (const Finding& finding : outlook.target) {
    const Ink ink = finding.health == Health::kGood ? Ink::kGood : finding.health == Health::kWarning ? Ink::kWarning : Ink::kBad;
    context.out() << Colored(context, ink, StateName(finding.health)) << "  " << finding.name << ": " << finding.found << "\n";
    if (!finding.remedy.empty()) context.out() << "  -> " << finding.remedy << "\n";
  }
  for (const std::string& note : outlook.notes) context.out() << "note: " << note << "\n";
  for (const std::string& obstacle : outlook.in_the_way) context.out() << Colored(context, Ink::kBad, "in the way: ") << obstacle << "\n";
  context.out() << (exit == Exit::kOk ? "nothing was changed; the same without --dry-run moves it\n" : "nothing was changed\n");
  return exit;
}

void PrintReport(const Context& context, const MigrationReport& report, const std::string& to) {
  if (context.format == Format::kJson) {
    Json out{{"id", report.id},
             {"done_before", report.before},
             {"holds", report.holds()},
             {"compared", Json::array()},
             {"start", "sightline up " + to}};
    for (const ComparedThing& thing : report.compared) {
      out["compared"].push_back({{"what", thing.what}, {"name", thing.name}, {"from", thing.from}, {"to", thing.to}, {"same", thing.same}});
    }
    context.out() << out.dump() << "\n";
    return;
  }
  OutputRows rows{.columns = {{"what"}, {"name"}, {"from", CellKind::kNumber}, {"to", CellKind::kNumber}, {"same", CellKind::kFlag}},
                  .rows = {}};
  for (const ComparedThing& thing : report.compared) {
    rows.rows.push_back({thing.what, thing.name, std::to_string(thing.from), std::to_string(thing.to), thing.same ? "true" : "false"});
  }
  if (!report.before) Print(context, rows);
}

Result<Exit> Move(const Context& context, const MigrateCommand& command, const config::Config& from, const config::Config& to) {
  SL_ASSIGN_OR_RETURN(const MigrationReport report, Migrate(context, from, to, command.stop ? OldServer::kStop : OldServer::kRefuse));
  PrintReport(context, report, command.to);
  if (!report.holds()) {
    return Fail(ErrorKind::kCorruption,
                "both sides differ where the table says so: the old data is as it was, and neither may start; call again, and report it if "
                "it stays so");
  }
  if (context.format != Format::kTable) return Exit::kOk;
  context.out() << (report.before ? "it was moved before; nothing was done\n" : "everything was moved, and both sides are the same\n")
                << "start it: sightline up " << command.to << "\n"
                << "the old data stays in " << from.data << "; " << from.file
                << " starts no more on it (docs/migration.md says how to go back)\n";
  return Exit::kOk;
}

Result<Exit> Run(const Context& context, const MigrateCommand& command) {
  SL_ASSIGN_OR_RETURN(const config::Config from, context.LoadConfig(command.from));
  SL_ASSIGN_OR_RETURN(const config::Config to, context.LoadConfig(command.to));
  return command.dry_run ? DryRun(context, from, to) : Move(context, command, from, to);
}

}  // namespace

void AddMigrate(CommandLine& line) {
  const auto command = std::make_shared<MigrateCommand>();
  line.Add("migrate", "Moves a deployment from one machine to Kafka and Postgres", Group::kConfigure)
      .Describe(
          "Moves what a configuration with the embedded drivers has to the engines that another one names, which differs in drivers, data "
          "and "
          "listen alone: topics, results, state of the pipelines, references, positions and Idempotency-Keys. No event is lost or counted "
          "twice. It may be killed at any point: the same call goes on. At the end both sides are compared; the old data stays as it is.")
      .Argument("FROM", command->from, "the configuration of the deployment on one machine")
      .Argument("TO", command->to, "the configuration with the other drivers")
      .Flag("--dry-run", command->dry_run, "says what would be moved and whether it could, and changes nothing")
      .Flag("--stop", command->stop, "ends the server that runs on the old data first, in order")
      .Example("sightline migrate presets/top-items/sightline.yaml presets/top-items/kafka-s3-postgres.yaml --dry-run",
               "what it would take")
      .Example("sightline migrate presets/top-items/sightline.yaml presets/top-items/kafka-s3-postgres.yaml --stop", "the whole move")
      .Run([command](Context& context) { return Run(context, *command); });
}

}  // namespace sightline::app
