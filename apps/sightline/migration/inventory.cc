#include "apps/sightline/migration/inventory.h"

#include <memory>

#include <nlohmann/json.hpp>

#include "apps/sightline/client.h"
#include "apps/sightline/migration/owner.h"
#include "apps/sightline/migration/source.h"

namespace sightline::app {
namespace {

using Json = nlohmann::ordered_json;

// Bytes of all files below a directory; 0 when there is none.
Result<std::uint64_t> BytesBelow(runtime::FileSystem& files, const std::string& directory) {
  SL_ASSIGN_OR_RETURN(const bool there, files.Exists(directory));
  if (!there) return 0;
  SL_ASSIGN_OR_RETURN(const std::vector<runtime::FileInfo> entries, files.List(directory));
  std::uint64_t bytes = 0;
  for (const runtime::FileInfo& entry : entries) {
    if (!entry.directory) {
      bytes += entry.size;
      continue;
    }
    SL_ASSIGN_OR_RETURN(const std::uint64_t inner, BytesBelow(files, directory + "/" + entry.name));
    bytes += inner;
  }
  return bytes;
}

Result<std::vector<runtime::FileInfo>> FilesIn(runtime::FileSystem& files, const std::string& directory) {
  SL_ASSIGN_OR_RETURN(const bool there, files.Exists(directory));
  if (!there) return std::vector<runtime::FileInfo>();
  return files.List(directory);
}

class Inventory {
 public:
  Inventory(const World& world, const config::Config& config, const flow::Plan& plan, runtime::Failpoints& failpoints)
      : world_(world), config_(config), plan_(plan), failpoints_(failpoints) {}

  Result<std::vector<MovedThing>> Take() {
    SL_TRY(CheckUnowned(world_, config_.data) ? Read() : Ask());
    return std::move(things_);
  }

 private:
  Status Read() {
    SL_ASSIGN_OR_RETURN(const std::unique_ptr<MigrationSource> source, MigrationSource::Open(world_, config_, failpoints_));
    SL_ASSIGN_OR_RETURN(const std::vector<std::string> topics, source->bus().Topics());
    std::uint64_t requests = 0;
    for (const std::string& topic : topics) {
      SL_ASSIGN_OR_RETURN(const bus::TopicInfo info, source->bus().Describe(topic));
      MovedThing thing{.what = "topic", .name = topic, .partitions = info.partitions.size(), .count = 0, .bytes = 0};
      for (std::size_t p = 0; p < info.partitions.size(); ++p) {
        *thing.count += static_cast<std::uint64_t>(info.partitions[p].visible - info.partitions[p].start);
        *thing.bytes += info.partitions[p].bytes;
        SL_ASSIGN_OR_RETURN(const auto tags, source->bus().Requests({topic, Partition(static_cast<std::int32_t>(p))}));
        requests += tags.size();
      }
      things_.push_back(std::move(thing));
    }
    SL_TRY(AddStates());
    for (const flow::PipelinePlan& pipeline : plan_.pipelines) {
      if (!pipeline.to_statistics || source->statistics() == nullptr) continue;
      SL_TRY(AddRows(*source->statistics(), pipeline.name));
    }
    SL_TRY(AddGroups());
    Add("requests", "Idempotency-Keys of the last 24 h", requests);
    return AddReferences();
  }

  Status Ask() {
    SL_ASSIGN_OR_RETURN(const ServerInfo server, FindServer(world_, config_.data));
    SL_ASSIGN_OR_RETURN(const std::string token, FindToken(world_, config_.data));
    const auto authorities = world_.environment ? world_.environment("SIGHTLINE_CA_FILE") : std::nullopt;
    SL_ASSIGN_OR_RETURN(Client client, Client::Make({.url = server.url, .token = token, .ca_file = authorities.value_or("")}));
    SL_ASSIGN_OR_RETURN(const Json topics, AskJson(client, {.method = "GET", .target = "/v1/topics"}));
    for (const Json& topic : topics["topics"]) {
      MovedThing thing{
          .what = "topic", .name = topic["name"].get<std::string>(), .partitions = topic["partitions"].size(), .count = 0, .bytes = 0};
      for (const Json& partition : topic["partitions"]) {
        *thing.count += partition["visible"].get<std::uint64_t>() - partition["start"].get<std::uint64_t>();
        *thing.bytes += partition.value("bytes", std::uint64_t{0});
      }
      things_.push_back(std::move(thing));
    }
    SL_TRY(AddStates());
    for (const flow::PipelinePlan& pipeline : plan_.pipelines) {
      if (!pipeline.to_statistics) continue;
      const std::string body = Json{{"sql", "select count(*) from \"" + pipeline.name + "\""}}.dump();
      const HttpRequest request{.method = "POST", .target = "/v1/sql", .headers = {{"Content-Type", "application/json"}}, .body = body};
      const Result<Json> asked = AskJson(client, request);
      const Json answer = asked ? *asked : Json{{"rows", Json::array()}};  // it has no table yet
      if (answer["rows"].empty() || answer["rows"][0].empty()) continue;
      const Json& cell = answer["rows"][0][0];  // a number, or the text of one
      Add("results", pipeline.name, cell.is_string() ? std::stoull(cell.get<std::string>()) : cell.get<std::uint64_t>());
    }
    SL_TRY(AddGroups());
    Add("requests", "Idempotency-Keys of the last 24 h", std::nullopt);
    return AddReferences();
  }

  static Result<Json> AskJson(Client& client, const HttpRequest& request) {
    SL_ASSIGN_OR_RETURN(const HttpResponse answer, client.AskForSuccess(request));
    Json json = Json::parse(answer.body, nullptr, false);
    if (json.is_discarded()) return Fail(ErrorKind::kInternal, "the answer to " + request.target + " is no JSON");
    return json;
  }

  void Add(const char* what, const std::string& name, std::optional<std::uint64_t> count) {
    things_.push_back({.what = what, .name = name, .partitions = std::nullopt, .count = count, .bytes = std::nullopt});
  }

  Status AddStates() {
    for (std::size_t i = 0; i < plan_.pipelines.size(); ++i) {
      const flow::PipelinePlan& pipeline = plan_.pipelines[i];
      if (pipeline.root != static_cast<int>(i)) continue;
      SL_ASSIGN_OR_RETURN(const std::uint64_t bytes, BytesBelow(world_.files, config_.data + "/flow/" + pipeline.name));
      things_.push_back({.what = "state",
                         .name = pipeline.name,
                         .partitions = static_cast<std::uint64_t>(flow::PartitionsOf(plan_, static_cast<int>(i))),
                         .count = std::nullopt,
                         .bytes = bytes});
    }
    return {};
  }

  Status AddRows(stores::StatisticsStore& store, const std::string& pipeline) {
    SL_ASSIGN_OR_RETURN(const std::vector<stores::StatisticsTable> tables, store.Tables());
    for (const stores::StatisticsTable& table : tables) {
      if (table.shape.pipeline != pipeline || !table.active) continue;
      stores::RowQuery query{.pipeline = pipeline};
      query.order = stores::RowQuery::Order::kNone;
      query.columns = {"window_start"};
      SL_ASSIGN_OR_RETURN(const std::unique_ptr<stores::RowStream> stream, store.Select(query));
      std::uint64_t rows = 0;
      ColumnBatch batch;
      for (;;) {
        SL_ASSIGN_OR_RETURN(const bool more, stream->Next(batch));
        if (!more) break;
        rows += batch.rows;
      }
      Add("results", pipeline, rows);
    }
    return {};
  }

  Status AddGroups() {
    constexpr std::string_view kSuffix = ".offsets";
    SL_ASSIGN_OR_RETURN(const std::vector<runtime::FileInfo> groups, FilesIn(world_.files, config_.data + "/log/groups"));
    for (const runtime::FileInfo& group : groups) {
      if (!group.name.ends_with(kSuffix) || group.name.starts_with("flow.")) continue;
      Add("positions", group.name.substr(0, group.name.size() - kSuffix.size()), std::nullopt);
    }
    return {};
  }

  Status AddReferences() {
    for (const flow::ReferencePlan& reference : plan_.references) {
      SL_ASSIGN_OR_RETURN(const std::vector<runtime::FileInfo> versions,
                          FilesIn(world_.files, config_.data + "/references/" + reference.name));
      MovedThing thing{.what = "reference", .name = reference.name, .partitions = std::nullopt, .count = 0, .bytes = 0};
      for (const runtime::FileInfo& version : versions) {
        if (version.directory || version.name.find_first_not_of("0123456789") != std::string::npos) continue;
        ++*thing.count;
        *thing.bytes += version.size;
      }
      things_.push_back(std::move(thing));
    }
    return {};
  }

  const World& world_;
  const config::Config& config_;
  const flow::Plan& plan_;
  runtime::Failpoints& failpoints_;
  std::vector<MovedThing> things_;
};

}  // namespace

Result<std::vector<MovedThing>> TakeInventory(const World& world, const config::Config& config, const flow::Plan& plan,
                                              runtime::Failpoints& failpoints) {
  return Inventory(world, config, plan, failpoints).Take();
}

}  // namespace sightline::app
