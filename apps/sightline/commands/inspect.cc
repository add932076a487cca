#include "apps/sightline/commands/inspect.h"

#include <ostream>

#include <nlohmann/json.hpp>

#include "apps/sightline/byte_source.h"
#include "apps/sightline/client.h"
#include "apps/sightline/output.h"

namespace sightline::app {
namespace {

using Json = nlohmann::ordered_json;

Result<Json> Get(Context& context, const std::string& target) {
  SL_ASSIGN_OR_RETURN(Client client, Client::Find(context));
  SL_ASSIGN_OR_RETURN(const HttpResponse response, client.AskForSuccess({.method = "GET", .target = target, .headers = {}, .body = {}}));
  Json answer = Json::parse(response.body, nullptr, false);
  if (answer.is_discarded()) return Fail(ErrorKind::kInternal, "the server's answer to " + target + " is no JSON");
  return answer;
}

Result<Json> Post(Context& context, const std::string& target, const std::string& type, const std::string& body) {
  SL_ASSIGN_OR_RETURN(Client client, Client::Find(context));
  SL_ASSIGN_OR_RETURN(const HttpResponse response,
                      client.AskForSuccess({.method = "POST", .target = target, .headers = {{"Content-Type", type}}, .body = body}));
  Json answer = Json::parse(response.body, nullptr, false);
  if (answer.is_discarded()) return Fail(ErrorKind::kInternal, "the server's answer to " + target + " is no JSON");
  return answer;
}

std::string Escaped(std::string_view text) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
    if (plain) {
      out += c;
    } else {
      out += {'%', kHex[byte >> 4], kHex[byte & 15]};
    }
  }
  return out;
}

std::optional<std::string> Cell(const Json& value) {
  if (value.is_null()) return std::nullopt;
  return value.is_string() ? value.get<std::string>() : value.dump();
}

// A list of objects as rows with the columns named.
void PrintObjects(const Context& context, const Json& list, const std::vector<OutputColumn>& columns) {
  OutputRows rows{.columns = columns, .rows = {}};
  for (const Json& object : list) {
    std::vector<std::optional<std::string>> row;
    for (const OutputColumn& column : columns) row.push_back(object.contains(column.name) ? Cell(object[column.name]) : std::nullopt);
    rows.rows.push_back(std::move(row));
  }
  Print(context, rows);
}

constexpr CellKind kNumber = CellKind::kNumber;

Result<Exit> TopicLs(Context& context) {
  SL_ASSIGN_OR_RETURN(const Json answer, Get(context, "/v1/topics"));
  Json list = Json::array();
  for (const Json& topic : answer["topics"]) {
    std::uint64_t records = 0;
    std::uint64_t bytes = 0;
    for (const Json& partition : topic["partitions"]) {
      records += partition["end"].get<std::uint64_t>() - partition["start"].get<std::uint64_t>();
      bytes += partition.value("bytes", std::uint64_t{0});
    }
    list.push_back({{"topic", topic["name"]},
                    {"partitions", topic["partitions"].size()},
                    {"records", records},
                    {"bytes", bytes},
                    {"durability", topic["durability"]},
                    {"owned", topic["owned"]}});
  }
  PrintObjects(context, list,
               {{"topic"}, {"partitions", kNumber}, {"records", kNumber}, {"bytes", kNumber}, {"durability"}, {"owned", CellKind::kFlag}});
  return Exit::kOk;
}

Result<Exit> TopicDescribe(Context& context, const std::string& topic) {
  SL_ASSIGN_OR_RETURN(const Json answer, Get(context, "/v1/topics/" + Escaped(topic)));
  std::vector<OutputColumn> columns;
  if (!answer["partitions"].empty()) {
    for (const auto& [name, value] : answer["partitions"][0].items()) columns.push_back({name, kNumber});
  }
  PrintObjects(context, answer["partitions"], columns);
  return Exit::kOk;
}

Result<Exit> TopicTail(Context& context, const std::string& topic, std::int64_t partition, std::int64_t limit) {
  SL_ASSIGN_OR_RETURN(const Json answer, Get(context, "/v1/topics/" + Escaped(topic) + "/records?partition=" + std::to_string(partition) +
                                                          "&offset=-" + std::to_string(limit) + "&limit=" + std::to_string(limit)));
  Json list = Json::array();
  for (const Json& record : answer["records"]) {
    Json row = {{"offset", record["offset"]}, {"append_time", record["append_time"]}, {"value", nullptr}};
    if (record.contains("value")) row["value"] = record["value"];
    if (record.contains("value_base64")) row["value"] = "base64:" + record["value_base64"].get<std::string>();
    if (record.contains("tick")) row["value"] = "(tick)";
    list.push_back(std::move(row));
  }
  PrintObjects(context, list, {{"offset", kNumber}, {"append_time", kNumber}, {"value"}});
  return Exit::kOk;
}

Result<Exit> TopicProduce(Context& context, const std::string& topic, std::int64_t partition) {
  std::string body((std::istreambuf_iterator<char>(context.world.in)), std::istreambuf_iterator<char>());
  SL_ASSIGN_OR_RETURN(const Json answer, Post(context, "/v1/topics/" + Escaped(topic) + "/records?partition=" + std::to_string(partition),
                                              "application/x-ndjson", body));
  Print(context, std::vector<OutputField>{{"partition", answer["partition"].dump(), kNumber},
                                          {"base", answer["base"].dump(), kNumber},
                                          {"count", answer["count"].dump(), kNumber}});
  return Exit::kOk;
}

Result<Exit> DeadLetterLs(Context& context, const std::string& pipeline, const std::string& reason, std::int64_t limit) {
  std::string target = "/v1/pipelines/" + Escaped(pipeline) + "/dead-letters?limit=" + std::to_string(limit);
  if (!reason.empty()) target += "&reason=" + Escaped(reason);
  SL_ASSIGN_OR_RETURN(const Json answer, Get(context, target));
  PrintObjects(context, answer["dead_letters"],
               {{"topic"}, {"partition", kNumber}, {"offset", kNumber}, {"reason"}, {"field"}, {"cause"}, {"original"}});
  return Exit::kOk;
}

Result<Exit> DeadLetterShow(Context& context, const std::string& pipeline, std::int64_t limit) {
  SL_ASSIGN_OR_RETURN(const Json answer,
                      Get(context, "/v1/pipelines/" + Escaped(pipeline) + "/dead-letters?limit=" + std::to_string(limit)));
  for (const Json& letter : answer["dead_letters"]) context.out() << letter.dump(2) << "\n";
  return Exit::kOk;
}

Result<Exit> Query(Context& context, const std::string& sql) {
  SL_ASSIGN_OR_RETURN(const Json answer, Post(context, "/v1/sql", "application/json", Json{{"sql", sql}}.dump()));
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
  if (context.format != Format::kTable) {
    context.out() << report.dump() << "\n";
    return;
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
                  << " result rows, " << number("unknown_location") << " of unknown location\n";
    for (const Json& difference : one["differences"]) context.out() << "  " << difference.get<std::string>() << "\n";
  }
}

void AddTopic(CommandLine& line) {
  struct Options {
    std::string topic;
    std::int64_t partition = 0;
    std::int64_t limit = 10;
  };
  const auto options = std::make_shared<Options>();
  line.AddFamily("topic", "Topics of the log", Group::kData);
  line.Add("topic ls", "Lists topics", Group::kData).Example("sightline topic ls --format json", "for programs").Run([](Context& context) {
    return TopicLs(context);
  });
  line.Add("topic describe", "Shows the partitions of a topic", Group::kData)
      .Argument("TOPIC", options->topic, "its name")
      .Example("sightline topic describe camera_events", "where each partition starts and ends")
      .Run([options](Context& context) { return TopicDescribe(context, options->topic); });
  line.Add("topic tail", "Shows the newest records of a partition", Group::kData)
      .Argument("TOPIC", options->topic, "its name")
      .Option("--partition N", &options->partition, "the partition (0)")
      .Option("-n, --limit N", &options->limit, "how many (10)")
      .Example("sightline topic tail camera_events --partition 3 -n 5", "the last five events of partition 3")
      .Run([options](Context& context) { return TopicTail(context, options->topic, options->partition, options->limit); });
  line.Add("topic produce", "Appends lines of standard input to a topic", Group::kData)
      .Describe("For topics of your own: accepted events enter through the gate (sightline send), and pipelines write theirs alone.")
      .Argument("TOPIC", options->topic, "its name")
      .Option("--partition N", &options->partition, "the partition (0)")
      .Example("sightline topic produce notes < notes.ndjson", "a record a line")
      .Run([options](Context& context) { return TopicProduce(context, options->topic, options->partition); });
}

void AddDeadLetter(CommandLine& line) {
  struct Options {
    std::string pipeline;
    std::string reason;
    std::int64_t limit = 20;
  };
  const auto options = std::make_shared<Options>();
  line.AddFamily("dead-letter", "Records that were not counted, with the reason", Group::kData);
  line.Add("dead-letter ls", "Lists dead letters of a pipeline and its dataset", Group::kData)
      .Argument("PIPELINE", options->pipeline, "the pipeline")
      .Option("--reason R", &options->reason, "only these", {"late", "future", "malformed", "invalid", "state_limit"})
      .Option("-n, --limit N", &options->limit, "how many (20)")
      .Example("sightline dead-letter ls item_counts --reason late", "what came too late")
      .Run([options](Context& context) { return DeadLetterLs(context, options->pipeline, options->reason, options->limit); });
  line.Add("dead-letter show", "Shows dead letters in full", Group::kData)
      .Argument("PIPELINE", options->pipeline, "the pipeline")
      .Option("-n, --limit N", &options->limit, "how many (20)")
      .Example("sightline dead-letter show item_counts -n 1", "origin, cause and original")
      .Run([options](Context& context) { return DeadLetterShow(context, options->pipeline, options->limit); });
}

void AddAudit(CommandLine& line) {
  line.Add("audit", "Counts everything anew from the log and says whether the accounting holds", Group::kData)
      .Describe(
          "For each pipeline on a dataset: in = counted + filtered + duplicates + late + future + malformed + invalid + state_limit, "
          "compared with the records of its topic, its dead letters and its results. Ends with 1 if anything differs.")
      .Example("sightline audit --data ./data", "of the server that runs there")
      .Run([](Context& context) -> Result<Exit> {
        SL_ASSIGN_OR_RETURN(const Json report, Get(context, "/v1/audit"));
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
