#include <istream>
#include <ostream>

#include "apps/sightline/commands/inspect.h"
#include "apps/sightline/commands/json_rows_internal.h"
#include "apps/sightline/progress.h"
#include "sightline/base/text.h"

namespace sightline::app {
namespace {

using internal::AskJson;
using internal::BytesOf;
using internal::Escaped;
using internal::GetJson;
using internal::Json;
using internal::kNumber;
using internal::PrintObjects;
using Needs = OfflineData::Needs;

Result<Exit> Ls(const Context& context) {
  SL_ASSIGN_OR_RETURN(const Json answer, GetJson(context, Needs::kLog, "/v1/topics"));
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

Result<Exit> DescribeTopic(const Context& context, const std::string& topic) {
  SL_ASSIGN_OR_RETURN(const Json answer, GetJson(context, Needs::kLog, "/v1/topics/" + Escaped(topic)));
  std::vector<OutputColumn> columns;
  if (!answer["partitions"].empty()) {
    for (const auto& [name, value] : answer["partitions"][0].items()) columns.push_back({name, kNumber});
  }
  PrintObjects(context, answer["partitions"], columns);
  return Exit::kOk;
}

Result<Exit> Tail(const Context& context, const std::string& topic, std::int64_t partition, std::int64_t limit) {
  SL_ASSIGN_OR_RETURN(const Json answer, GetJson(context, Needs::kLog,
                                                 "/v1/topics/" + Escaped(topic) + "/records?partition=" + std::to_string(partition) +
                                                     "&offset=-" + std::to_string(limit) + "&limit=" + std::to_string(limit)));
  Json list = Json::array();
  for (const Json& record : answer["records"]) {
    list.push_back({{"offset", record["offset"]},
                    {"append_time", record["append_time"]},
                    {"value", record.contains("tick") ? Json("(tick)") : BytesOf(record, "value")}});
  }
  PrintObjects(context, list, {{"offset", kNumber}, {"append_time", kNumber}, {"value"}});
  return Exit::kOk;
}

// Cuts a stream into bodies of whole lines, none of them over what one request takes in bytes and lines.
class LineBatches {
 public:
  explicit LineBatches(std::istream& in) : in_(in) {}
  // The next lines; empty at the end.
  Result<std::string> Next() {
    for (;;) {
      const std::size_t end = ended_ ? rest_.size() : rest_.rfind('\n') + 1;  // 0 where there is none
      if (end > 0 || ended_) {
        std::string lines = rest_.substr(0, end);
        rest_.erase(0, end);
        const bool blank = lines.find_first_not_of("\r\n") == std::string::npos;
        if (!blank) return lines;
        if (ended_) return std::string();
        continue;
      }
      if (rest_.size() > kLineMax) return Fail(ErrorKind::kInvalidArgument, "a line is longer than " + FormatBytes(kLineMax));
      const std::size_t before = rest_.size();
      rest_.resize(before + kRead);
      in_.read(rest_.data() + before, kRead);
      rest_.resize(before + static_cast<std::size_t>(in_.gcount()));
      ended_ = in_.gcount() == 0;
    }
  }

 private:
  static constexpr std::size_t kRead = 128U << 10;
  static constexpr std::size_t kLineMax = 15U << 20;
  std::istream& in_;
  std::string rest_;
  bool ended_ = false;
};

Result<Exit> Produce(const Context& context, const std::string& topic, std::int64_t partition, bool create) {
  SL_ASSIGN_OR_RETURN(DataAccess data, DataAccess::Open(context, Needs::kPipelines));
  const std::string target = "/v1/topics/" + Escaped(topic) + "/records?partition=" + std::to_string(partition);
  LineBatches batches(context.world.in);
  Json first;
  std::uint64_t count = 0;
  const auto append = [&](const std::string& lines) -> Status {
    SL_ASSIGN_OR_RETURN(const Json answer, AskJson(data, {.method = "POST",
                                                          .target = target + (create && first.is_null() ? "&create=true" : ""),
                                                          .headers = {{"Content-Type", "application/x-ndjson"}},
                                                          .body = lines}));
    if (first.is_null()) first = answer;
    count += answer["count"].get<std::uint64_t>();
    return {};
  };
  Progress progress(context, "appending", "records");
  for (;;) {
    Result<std::string> lines = batches.Next();
    // Nothing at all is for the server to judge.
    if (lines && lines->empty() && count > 0) break;
    if (const Status appended = lines ? append(*lines) : std::unexpected(lines.error()); !appended) {
      Error error = appended.error();
      if (count > 0) error.message += "; the " + WithThousands(count) + " records before stay appended";
      return std::unexpected(std::move(error));
    }
    progress.Update(count);
  }
  Print(context, std::vector<OutputField>{{"partition", first["partition"].dump(), kNumber},
                                          {"base", first["base"].dump(), kNumber},
                                          {"count", std::to_string(count), kNumber}});
  return Exit::kOk;
}

std::uint64_t LostIn(const Json& partition) {
  std::uint64_t lost = 0;
  for (const Json& damage : partition["damages"]) lost += damage["to"].get<std::uint64_t>() - damage["from"].get<std::uint64_t>();
  return lost;
}

// What is damaged, a line a place.
void PrintDamages(std::ostream& out, const Json& report) {
  for (const Json& partition : report["partitions"]) {
    const std::string where = report["topic"].get<std::string>() + " partition " + partition["partition"].dump();
    for (const Json& damage : partition["damages"]) {
      const auto from = damage["from"].get<std::int64_t>();
      const auto to = damage["to"].get<std::int64_t>();
      out << where << ": ";
      if (to - from == 1) {
        out << "record " << from << " is";
      } else {
        out << "records " << from << " to " << to - 1 << " (" << WithThousands(static_cast<std::uint64_t>(to - from)) << ") are";
      }
      out << " damaged: " << damage["file"].get<std::string>() << " at byte " << damage["position"] << "\n";
    }
    for (const Json& remark : partition["remarks"]) out << where << ": " << remark.get<std::string>() << "\n";
    if (const auto torn = partition["torn_tail_bytes"].get<std::uint64_t>(); torn > 0) {
      out << where << ": " << WithThousands(torn) << " bytes of a torn tail were cut off: a crash interrupted an append that was never "
          << "acknowledged\n";
    }
  }
}

std::string StateOf(const Json& partition) {
  if (!partition["damages"].empty()) return "damaged";
  if (partition["repaired"].get<std::uint64_t>() > 0) return "repaired";
  return partition["torn_tail_bytes"].get<std::uint64_t>() > 0 ? "torn tail cut" : "ok";
}

void PrintReports(const Context& context, const Json& reports) {
  if (context.format == Format::kJson) {
    context.out() << reports.dump() << "\n";
    return;
  }
  Json list = Json::array();
  for (const Json& report : reports) {
    for (const Json& partition : report["partitions"]) {
      list.push_back({{"topic", report["topic"]},
                      {"partition", partition["partition"]},
                      {"batches", partition["batches"]},
                      {"records", partition["records"]},
                      {"bytes", partition["bytes"]},
                      {"damaged_records", LostIn(partition)},
                      {"state", StateOf(partition)}});
    }
  }
  PrintObjects(context, list,
               {{"topic"},
                {"partition", kNumber},
                {"batches", kNumber},
                {"records", kNumber},
                {"bytes", kNumber},
                {"damaged_records", kNumber},
                {"state"}});
  if (context.format != Format::kTable) return;
  for (const Json& report : reports) PrintDamages(context.out(), report);
}

Result<Json> VerifyOne(DataAccess& data, const std::string& topic) {
  return AskJson(
      data,
      {.method = "GET", .target = "/v1/topics/" + Escaped(topic) + "/verify", .headers = {}, .body = {}, .answer_time_max = kLongAnswer});
}

Result<Exit> Verify(const Context& context, const std::string& topic) {
  SL_ASSIGN_OR_RETURN(DataAccess data, DataAccess::Open(context, Needs::kLog));
  std::vector<std::string> topics = {topic};
  if (topic.empty()) {
    SL_ASSIGN_OR_RETURN(const Json all, AskJson(data, {.method = "GET", .target = "/v1/topics", .headers = {}, .body = {}}));
    topics.clear();
    for (const Json& one : all["topics"]) topics.push_back(one["name"].get<std::string>());
  }
  Json reports = Json::array();
  std::string damaged;
  Progress progress(context, "verifying", "topics", topics.size());
  for (const std::string& one : topics) {
    SL_ASSIGN_OR_RETURN(Json report, VerifyOne(data, one));
    if (damaged.empty() && !report["holds"].get<bool>()) damaged = one;
    reports.push_back(std::move(report));
    progress.Update(reports.size());
  }
  PrintReports(context, reports);
  if (damaged.empty()) return Exit::kOk;
  context.err() << "damaged records can't be read: restore the files from a copy, or stop the server and give them up by "
                << "sightline topic repair " << damaged << "\n";
  return Exit::kFailed;
}

// Asks on the terminal, or whatever the standard input is.
bool Agreed(const Context& context, std::uint64_t lost) {
  context.err() << "Give up " << WithThousands(lost) << (lost == 1 ? " record" : " records")
                << " for ever? Type yes to go on: " << std::flush;
  std::string line;
  std::getline(context.world.in, line);
  return line == "yes";
}

Result<Exit> Repair(const Context& context, const std::string& topic, bool yes) {
  SL_ASSIGN_OR_RETURN(DataAccess data, DataAccess::Open(context, Needs::kLog));
  if (data.offline() == nullptr) {
    return Fail(ErrorKind::kFailedPrecondition,
                "a server runs on " + data.data() + ": stop it first, since pipelines must not meet a log that changes under them");
  }
  SL_ASSIGN_OR_RETURN(const Json before, VerifyOne(data, topic));
  std::uint64_t lost = 0;
  for (const Json& partition : before["partitions"]) lost += LostIn(partition);
  if (lost == 0) {
    context.out() << topic << ": nothing is damaged\n";
    return Exit::kOk;
  }
  PrintDamages(context.err(), before);
  if (!yes && !Agreed(context, lost)) {
    context.err() << "nothing was changed; --yes repairs without asking\n";
    return Exit::kFailed;
  }
  std::uint64_t places = 0;
  for (const Json& partition : before["partitions"]) {
    if (partition["damages"].empty()) continue;
    SL_ASSIGN_OR_RETURN(const bus::VerifyReport repaired,
                        data.offline()->log()->Repair({topic, Partition(partition["partition"].get<std::int32_t>())}));
    places += repaired.damages.size();
  }
  context.out() << topic << ": readers now skip " << WithThousands(places) << (places == 1 ? " place" : " places") << "; "
                << WithThousands(lost) << (lost == 1 ? " record is" : " records are") << " lost and counted as dropped\n";
  return Exit::kOk;
}

struct Options {
  std::string topic;
  std::int64_t partition = 0;
  std::int64_t limit = 10;
  bool yes = false;
  bool create = false;
};

void AddCare(CommandLine& line, const std::shared_ptr<Options>& options) {
  line.Add("topic verify", "Reads every stored batch and checks it", Group::kData)
      .Describe(
          "Reads all segments of a topic, or of all topics, and checks checksums and positions. Damage is told from the torn tail that a "
          "crash leaves, which holds nothing that was acknowledged. Ends with 1 if anything is damaged.")
      .Argument("TOPIC", options->topic, "its name; else all topics", Need::kOptional)
      .Example("sightline topic verify", "all of the log")
      .Example("sightline topic verify camera_events --format json", "with every damaged place, for programs")
      .Run([options](Context& context) { return Verify(context, options->topic); });
  line.Add("topic repair", "Gives up the damaged records of a topic", Group::kData)
      .Describe(
          "Makes readers skip what is damaged and can't be restored. Says first what is lost, and asks. The records are counted as "
          "dropped; the files are left as they are. Only while no server runs on the data directory.")
      .Argument("TOPIC", options->topic, "its name")
      .Flag("--yes", options->yes, "does not ask")
      .Example("sightline topic repair camera_events", "after sightline topic verify found damage")
      .Run([options](Context& context) { return Repair(context, options->topic, options->yes); });
}

}  // namespace

void AddTopic(CommandLine& line) {
  const auto options = std::make_shared<Options>();
  line.AddFamily("topic", "Topics of the log", Group::kData);
  line.Add("topic ls", "Lists topics", Group::kData).Example("sightline topic ls --format json", "for programs").Run(Ls);
  line.Add("topic describe", "Shows the partitions of a topic", Group::kData)
      .Argument("TOPIC", options->topic, "its name")
      .Example("sightline topic describe camera_events", "where each partition starts and ends")
      .Run([options](Context& context) { return DescribeTopic(context, options->topic); });
  line.Add("topic tail", "Shows the newest records of a partition", Group::kData)
      .Argument("TOPIC", options->topic, "its name")
      .Option("--partition N", &options->partition, "the partition (0)")
      .Option("-n, --limit N", &options->limit, "how many (10)")
      .Example("sightline topic tail camera_events --partition 3 -n 5", "the last five events of partition 3")
      .Run([options](Context& context) -> Result<Exit> {
        if (options->limit < 1) return BadUsage(context, "--limit must be above 0");
        return Tail(context, options->topic, options->partition, options->limit);
      });
  line.Add("topic produce", "Appends lines of standard input to a topic", Group::kData)
      .Describe(
          "For topics of your own: accepted events enter through the gate (sightline send), and pipelines write theirs alone. Lines go in "
          "batches: those that are appended when an error comes stay.")
      .Argument("TOPIC", options->topic, "its name")
      .Option("--partition N", &options->partition, "the partition (0)")
      .Flag("--create", options->create, "makes the topic, with one partition, when it is not there")
      .Example("sightline topic produce notes --create < notes.ndjson", "a record a line")
      .Run([options](Context& context) { return Produce(context, options->topic, options->partition, options->create); });
  AddCare(line, options);
}

}  // namespace sightline::app
