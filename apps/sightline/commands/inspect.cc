#include "apps/sightline/commands/inspect.h"

#include <algorithm>
#include <ostream>
#include <set>

#include "apps/sightline/commands/json_rows_internal.h"

namespace sightline::app {
namespace {

using internal::AskJson;
using internal::Cell;
using internal::Escaped;
using internal::Json;
using internal::kNumber;
using internal::PrintObjects;
using Needs = OfflineData::Needs;

struct DeadLetterOptions {
  std::string pipeline;
  std::string reason;
  std::int64_t limit = 20;
};

// Letters of one pipeline or, when none is named, of all: those that share a topic once.
Result<Json> Letters(Context& context, const std::string& pipeline, const std::string& reason, std::int64_t limit) {
  SL_ASSIGN_OR_RETURN(DataAccess data, DataAccess::Open(context, Needs::kPipelines));
  const auto get = [&](const std::string& target) { return AskJson(data, {.method = "GET", .target = target, .headers = {}, .body = {}}); };
  std::vector<std::string> pipelines = {pipeline};
  if (pipeline.empty()) {
    SL_ASSIGN_OR_RETURN(const Json all, get("/v1/pipelines"));
    pipelines.clear();
    for (const Json& one : all["pipelines"]) pipelines.push_back(one["name"].get<std::string>());
  }
  std::vector<Json> letters;
  std::set<std::string> seen;
  for (const std::string& name : pipelines) {
    std::string target = "/v1/pipelines/" + Escaped(name) + "/dead-letters?limit=" + std::to_string(limit);
    if (!reason.empty()) target += "&reason=" + Escaped(reason);
    SL_ASSIGN_OR_RETURN(Json answer, get(target));
    for (Json& letter : answer["dead_letters"]) {
      const std::string place = letter["topic"].dump() + letter["partition"].dump() + "/" + letter["offset"].dump();
      if (seen.insert(place).second) letters.push_back(std::move(letter));
    }
  }
  std::ranges::stable_sort(letters, std::ranges::greater(), [](const Json& letter) { return letter["received"].get<std::int64_t>(); });
  letters.resize(std::min(letters.size(), static_cast<std::size_t>(limit)));
  return Json(letters);
}

Result<Exit> DeadLetterLs(Context& context, const DeadLetterOptions& options) {
  SL_ASSIGN_OR_RETURN(Json letters, Letters(context, options.pipeline, options.reason, options.limit));
  for (Json& letter : letters) letter["original"] = internal::BytesOf(letter, "original");
  PrintObjects(context, letters, {{"topic"}, {"partition", kNumber}, {"offset", kNumber}, {"reason"}, {"field"}, {"cause"}, {"original"}});
  return Exit::kOk;
}

Result<Exit> DeadLetterShow(Context& context, const DeadLetterOptions& options) {
  SL_ASSIGN_OR_RETURN(Json letters, Letters(context, options.pipeline, options.reason, options.limit));
  if (context.format == Format::kJson) {
    context.out() << letters.dump() << "\n";
    return Exit::kOk;
  }
  if (context.format == Format::kCsv) {
    // A row a letter: where it came from is one cell, as JSON.
    for (Json& letter : letters) letter["original"] = internal::BytesOf(letter, "original");
    PrintObjects(context, letters,
                 {{"topic"},
                  {"partition", kNumber},
                  {"offset", kNumber},
                  {"reason"},
                  {"field"},
                  {"cause"},
                  {"origin"},
                  {"received", kNumber},
                  {"encoding"},
                  {"original_size", kNumber},
                  {"shortened", CellKind::kFlag},
                  {"original"}});
    return Exit::kOk;
  }
  for (const Json& letter : letters) context.out() << letter.dump(2) << "\n";
  return Exit::kOk;
}

Result<Exit> Query(Context& context, const std::string& sql) {
  SL_ASSIGN_OR_RETURN(DataAccess data, DataAccess::Open(context, Needs::kStatistics));
  const std::string body = Json{{"sql", sql}}.dump();
  SL_ASSIGN_OR_RETURN(const Json answer, AskJson(data, {.method = "POST",
                                                        .target = "/v1/sql",
                                                        .headers = {{"Content-Type", "application/json"}},
                                                        .body = body,
                                                        .answer_time_max = kLongAnswer}));
  OutputRows rows;
  for (const Json& column : answer["columns"]) {
    const std::string type = column["type"];
    rows.columns.push_back({column["name"], type == "string" ? CellKind::kText : (type == "bool" ? CellKind::kFlag : kNumber)});
  }
  for (const Json& row : answer["rows"]) {
    std::vector<std::optional<std::string>> cells;
    for (const Json& cell : row) cells.push_back(Cell(cell));
    rows.rows.push_back(std::move(cells));
  }
  Print(context, rows);
  if (answer.value("truncated", false)) context.err() << "the answer was cut off at the server's limit (limits.sql)\n";
  return Exit::kOk;
}

}  // namespace

void PrintAudit(const Context& context, const std::string& json) {
  const Json report = Json::parse(json, nullptr, false);
  if (context.format == Format::kJson) {
    context.out() << report.dump() << "\n";
    return;
  }
  if (context.format == Format::kCsv) {
    std::vector<OutputColumn> columns;
    if (!report["pipelines"].empty()) {
      for (const auto& [name, value] : report["pipelines"][0].items()) {
        if (name != "differences")
          columns.push_back({name, value.is_number() ? kNumber : value.is_boolean() ? CellKind::kFlag : CellKind::kText});
      }
    }
    return PrintObjects(context, report["pipelines"], columns);
  }
  for (const Json& one : report["pipelines"]) {
    const auto number = [&](const char* name) { return WithThousands(one[name].get<std::uint64_t>()); };
    context.out() << one["pipeline"].get<std::string>() << ": "
                  << (one["holds"].get<bool>() ? Colored(context, Ink::kGood, "the accounting holds")
                                               : Colored(context, Ink::kBad, "the accounting does NOT hold"))
                  << "\n  in " << number("in") << " = counted " << number("counted") << " + filtered " << number("filtered")
                  << " + duplicates " << number("duplicates") << " + late " << number("late") << " + future " << number("future")
                  << " + malformed " << number("malformed") << " + invalid " << number("invalid") << " + state_limit "
                  << number("state_limit") << "\n  " << number("log_records") << " records in the log, " << number("refused_at_ingest")
                  << " refused at ingest, " << number("dead_letters") << " dead letters of the pipeline, " << number("result_rows")
                  << " result rows, " << number("unknown_location") << " of unknown location, " << number("partially_late")
                  << " late for some of their windows, " << number("extra_fields") << " fields that the contract does not name\n";
    if (one["waiting"] != 0) context.out() << "  " << number("waiting") << " records wait to be judged\n";
    if (one["removed_by_retention"] != 0)
      context.out() << "  " << number("removed_by_retention") << " records were removed by retention and are not recounted\n";
    if (one["dropped"] != 0) context.out() << "  " << number("dropped") << " records were given up by repair or at the disk limit\n";
    for (const Json& difference : one["differences"]) context.out() << "  " << difference.get<std::string>() << "\n";
  }
}

void AddDeadLetter(CommandLine& line) {
  const auto options = std::make_shared<DeadLetterOptions>();
  const std::vector<std::string> reasons = {"late", "future", "malformed", "invalid", "state_limit"};
  constexpr std::int64_t kLimitMax = 1000;
  const auto checked = [options](auto run) {
    return [options, run](Context& context) -> Result<Exit> {
      if (options->limit < 1 || options->limit > kLimitMax) return BadUsage(context, "--limit must be from 1 to 1000");
      return run(context, *options);
    };
  };
  line.AddFamily("dead-letter", "Records that were not counted, with the reason", Group::kData);
  line.Add("dead-letter ls", "Lists the newest dead letters of a pipeline and its dataset", Group::kData)
      .Argument("PIPELINE", options->pipeline, "the pipeline; else all", Need::kOptional)
      .Option("--reason R", &options->reason, "only these", reasons)
      .Option("-n, --limit N", &options->limit, "how many (20)")
      .Example("sightline dead-letter ls item_counts --reason late", "what came too late")
      .Run(checked(DeadLetterLs));
  line.Add("dead-letter show", "Shows the newest dead letters in full", Group::kData)
      .Argument("PIPELINE", options->pipeline, "the pipeline; else all", Need::kOptional)
      .Option("--reason R", &options->reason, "only these", reasons)
      .Option("-n, --limit N", &options->limit, "how many (20)")
      .Example("sightline dead-letter show item_counts -n 1", "origin, cause and original")
      .Run(checked(DeadLetterShow));
}

void AddAudit(CommandLine& line) {
  line.Add("audit", "Compares what pipelines counted with the log and says whether the accounting holds", Group::kData)
      .Describe(
          "For each pipeline on a dataset: in = counted + filtered + duplicates + late + future + malformed + invalid + state_limit. "
          "Counted anew from the log are the records offered, the dead letters by reason, the originals that were offered again, and the "
          "result rows; each must be what the pipeline says, and its verdicts must add up to them. How the rest splits into counted, "
          "filtered and duplicates is the pipeline's own word; without a server, what lies behind its newest snapshot is judged again. "
          "What retention has removed can't be recounted. Ends with 1 if anything differs.")
      .Example("sightline audit --data ./data", "of a data directory, whether a server runs on it or not")
      .Run([](Context& context) -> Result<Exit> {
        SL_ASSIGN_OR_RETURN(DataAccess data, DataAccess::Open(context, Needs::kPipelines));
        SL_ASSIGN_OR_RETURN(
            const Json report,
            AskJson(data, {.method = "GET", .target = "/v1/audit", .headers = {}, .body = {}, .answer_time_max = kLongAnswer}));
        PrintAudit(context, report.dump());
        return report["holds"].get<bool>() ? Exit::kOk : Exit::kFailed;
      });
}

void AddQuery(CommandLine& line) {
  const auto sql = std::make_shared<std::string>();
  line.Add("query", "Answers SQL over the statistics", Group::kData)
      .Describe("Read only. Each pipeline with `to: [statistics]` is a view of its name, with window_start and window_end in epoch ms.")
      .Argument("SQL", *sql, "one SELECT")
      .Example("sightline query \"select item_name, sum(item_count) from item_counts group by all order by 2 desc limit 5\"",
               "most frequent items")
      .Run([sql](Context& context) { return Query(context, *sql); });
}

}  // namespace sightline::app
