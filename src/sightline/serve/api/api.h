#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "sightline/base/result.h"
#include "sightline/bus/port.h"
#include "sightline/ingest/port.h"
#include "sightline/model/column_batch.h"
#include "sightline/model/result.h"
#include "sightline/model/verdict.h"
#include "sightline/ops/health.h"
#include "sightline/ops/metrics.h"
#include "sightline/runtime/clock.h"
#include "sightline/security/access.h"
#include "sightline/serve/api/status.h"
#include "sightline/serve/live/live_board.h"
#include "sightline/serve/live/live_hub.h"
#include "sightline/serve/route_table.h"
#include "sightline/stores/statistics/port.h"
#include "sightline/stores/statistics/sql/port.h"

namespace sightline::serve {

// A pipeline as people see it.
struct PipelineInfo {
  std::string name;
  std::string from;
  std::shared_ptr<const ResultShape> shape;
  std::chrono::milliseconds window_size{0};
  std::chrono::milliseconds window_every{0};
  bool ranked = false;
  bool live = false;
  bool statistics = false;
  std::vector<std::string> dead_letter_topics;  // of its dataset and its own
};

// The reference tables. Thread-safe; Rows and Reload may block.
class References {
 public:
  struct Info {
    std::string name;
    std::uint64_t rows = 0;
    std::uint64_t version = 0;
    WallTime loaded_at;
  };
  struct Table {
    Info info;
    Schema schema;
    std::shared_ptr<const ColumnBatch> rows;
  };
  virtual ~References() = default;
  virtual std::vector<Info> List() = 0;
  virtual Result<Table> Rows(const std::string& name) = 0;
  virtual Result<Info> Reload(const std::string& name) = 0;
};

// Users' SQL, read only, under the principal's grants. Thread-safe; blocks.
class SqlRunner {
 public:
  struct Answer {
    Schema schema;
    ColumnBatch rows;
    bool truncated = false;  // there were more rows than the limit
  };
  virtual ~SqlRunner() = default;
  // kInvalidArgument (with the place) for wrong SQL, kPermissionDenied for what is not reading, kDeadlineExceeded and
  // kResourceExhausted at the limits.
  virtual Result<Answer> Run(const std::string& sql, const security::Principal& principal) = 0;
};

// SqlRunner over the statistics store's service, which must outlive it.
std::unique_ptr<SqlRunner> MakeSqlRunner(stores::SqlService& service);

// What POST /v1/dead-letters/replay asks for: the letters of a pipeline with one of the reasons, or single ones.
struct ReplayRequest {
  std::string pipeline;
  std::vector<Verdict> reasons;  // empty: all that can be replayed
  struct Letter {
    TopicPartition from;
    Offset offset;
  };
  std::vector<Letter> letters;   // empty: all
  std::string principal;
};
struct ReplayAnswer {
  std::uint64_t replayed = 0;
  std::uint64_t already = 0;     // taken by an earlier replay
  std::uint64_t refused = 0;
  std::vector<std::string> refusals;  // the first ones
};

// Where GET /v1/top-items takes its counts from.
struct TopItemsSource {
  std::string pipeline = "item_counts";
  std::string name = "item_name";
  std::string count = "item_count";
  std::string location = "geographical_location_oid";
  std::string location_name = "geographical_location";
};

// Everything the API is an entrance to. What is null has no routes. Borrowed; must outlive the server.
struct ApiContext {
  const runtime::Clock* clock = nullptr;
  security::Access* access = nullptr;
  ops::Metrics* metrics = nullptr;
  std::string version;
  std::vector<PipelineInfo> pipelines;
  bool results = true;  // questions about results are answered here
  TopItemsSource top_items;

  ingest::Ingest* ingest = nullptr;
  std::uint64_t ingest_body_max = 64ULL << 20;
  stores::StatisticsStore* statistics = nullptr;
  LiveBoard* board = nullptr;
  std::unordered_map<const Loop*, std::shared_ptr<LiveHub>> hubs;  // one a loop of the server
  std::uint64_t live_clients_max = 20'000;
  std::int64_t live_rate = 5;                                      // messages a second unless the client says otherwise
  References* references = nullptr;
  SqlRunner* sql = nullptr;
  bus::Bus* bus = nullptr;
  std::vector<std::string> accepted_topics;                        // of datasets: only ingest writes them
  // Must not block: it is called on a loop's thread once a second while somebody watches.
  std::function<ServerStatus()> status;
  std::function<Result<ReplayAnswer>(const ReplayRequest&)> replay;
  std::function<Result<std::string>()> audit;                      // JSON; may block
  std::function<Result<std::string>(const std::string&)> verify;   // a topic's stored bytes; JSON; may block
};

// A file of the dashboard. Views live as long as the program.
struct Asset {
  std::string_view path;        // "/index.html"
  std::string_view media_type;
  std::string_view etag;        // with quotes
  std::string_view bytes;
  std::string_view gzip;        // or empty
};

// Adds all routes of the API for which there is something behind.
void AddApiRoutes(RouteTable& table, const ApiContext& context);
// "/" and each file under its path.
void AddAssetRoutes(RouteTable& table, const std::vector<Asset>& assets);
// /healthz and /readyz.
void AddHealthRoutes(RouteTable& table, const ops::Health& health);

}  // namespace sightline::serve
