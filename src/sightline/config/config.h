#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sightline/base/result.h"
#include "sightline/bus/port.h"
#include "sightline/config/drivers.h"
#include "sightline/governance/contract.h"
#include "sightline/model/pipeline_spec.h"
#include "sightline/runtime/file_system.h"

namespace sightline::config {

// An address to listen on, "host:port" or "[::1]:port". Port 0 asks the system for a free one.
struct Endpoint {
  std::string host;
  std::uint16_t port = 0;
  // 127.0.0.0/8, ::1 and localhost: nobody outside this machine can reach it.
  bool loopback() const;
  std::string ToString() const;
  friend bool operator==(const Endpoint&, const Endpoint&) = default;
};
Result<Endpoint> ParseEndpoint(std::string_view text);

struct TlsConfig {
  std::string certificate;  // path of a PEM chain
  std::string key;          // path of a PEM private key
};
struct ListenConfig {
  Endpoint http;
  Endpoint health;
  std::optional<TlsConfig> tls;
};

struct RetainConfig {
  std::chrono::milliseconds time{0};  // 0: for ever
  std::uint64_t bytes = 0;            // of the whole topic; 0: no limit
  std::chrono::milliseconds dead_letters{0};  // of ingest's dead letters; 0: for ever
};

enum class GateFormat : std::uint8_t { kJson, kProtobuf, kConfluent };
enum class SchemaLanguage : std::uint8_t { kAvro, kJson, kProtobuf };
// Topics on Kafka that others write.
struct GateConfig {
  std::string from;  // one topic, or a pattern with '*'; without drivers.bus.prefix
  GateFormat format = GateFormat::kJson;
  SchemaLanguage schema = SchemaLanguage::kAvro;  // in which the registry gets the contract where it has no schema
};

struct DatasetConfig {
  std::string name;
  std::string contract_file;
  std::string topic;
  std::optional<GateConfig> gate;
  std::int32_t partitions = 1;
  std::string partition_by;
  // "A determines B": records with the same A have the same B.
  std::vector<std::pair<std::string, std::vector<std::string>>> determines;
  WatermarkSpec watermark;
  RetainConfig retain;
  std::optional<bus::Durability> durability;  // instead of drivers.bus.durability
  std::optional<bus::WhenFull> when_full;
  bus::Compression compression = bus::Compression::kNone;
  governance::Contract contract;

  // The names that `columns` determine, themselves included.
  std::vector<std::string> Determined(const std::vector<std::string>& columns) const;
  // The fields that determine partition_by each by itself, partition_by left out.
  std::vector<std::string> ImpliesPartition() const;
};

// An object that a URL names: "objects:KEY" in the configured store, or "s3://BUCKET/KEY", "gs://BUCKET/KEY", "hdfs://HOST:PORT/KEY".
struct ObjectUrl {
  std::optional<ObjectsType> type;  // none: in the store of drivers.objects
  std::string bucket;               // of HDFS: "host:port", or the name of a service
  std::string key;
};
// Nothing when `text` is a path. kInvalidArgument for a scheme that is not known, or a URL that lacks a part or has a key that cannot be.
Result<std::optional<ObjectUrl>> ParseObjectUrl(std::string_view text);
// A table that is followed by logical replication.
struct PostgresReferenceConfig {
  Secret url;
  PostgresTlsConfig tls;
  std::string table;        // "locations", "public.locations"
  std::string slot;         // "": sightline_<reference>
  std::string publication;  // "": sightline_<reference>
  std::uint64_t lag_max = 0;  // bytes of the server's log that wait for us before there is an alarm
  std::chrono::milliseconds heartbeat{0};
  std::chrono::milliseconds connect_timeout{0};
  std::chrono::milliseconds statement_timeout{0};
};

struct ReferenceConfig {
  std::string name;
  std::string contract_file;
  std::string from;  // path or URL of a .csv, .json, .ndjson or .parquet file; or else:
  std::optional<PostgresReferenceConfig> postgres;
  std::string key;   // a field of its contract
  governance::Contract contract;
};

struct TokenConfig {
  std::string name;
  Secret token;        // either this
  std::string sha256;  // or this, 64 hexadecimal digits
  std::vector<std::string> permissions;
};
struct AccessConfig {
  std::vector<TokenConfig> tokens;
};

struct IngestLimits {
  std::uint64_t body_max = 0;  // bytes of a request, after decompression
  std::uint64_t line_max = 0;  // bytes of a record
  std::int64_t fields_max = 0;
  std::int64_t depth_max = 0;
};
struct RequestLimits {
  std::chrono::milliseconds time_max{0};
  std::chrono::milliseconds idle_max{0};
  std::int64_t connections_max = 0;
};
struct SqlLimits {
  std::chrono::milliseconds time_max{0};
  std::uint64_t memory_max = 0;
  std::int64_t rows_max = 0;
};
struct LimitsConfig {
  IngestLimits ingest;
  RequestLimits requests;
  SqlLimits sql;
};

struct CheckpointConfig {
  std::chrono::milliseconds interval{0};
  std::int64_t records = 0;  // between two snapshots
};
struct StateConfig {
  std::uint64_t memory_max = 0;
  std::uint64_t disk_max = 0;
};
struct LiveConfig {
  std::int64_t clients_max = 0;
  std::int64_t rate = 0;  // changes a second a client gets unless it asks otherwise
};

// Everything a configuration file says, checked, with the contracts it names. A plain value: copy and move freely.
struct Config {
  std::string file;
  std::string data;
  ListenConfig listen;
  DriversConfig drivers;
  std::vector<DatasetConfig> datasets;
  std::vector<ReferenceConfig> references;
  std::vector<PipelineSpec> pipelines;  // in the order of the file
  AccessConfig access;
  LimitsConfig limits;
  CheckpointConfig checkpoint;
  StateConfig state;
  LiveConfig live;
  std::int64_t version = 0;
  // Where each setting stands ("datasets.camera_events.partitions"); those left to their default are missing.
  std::map<std::string, SourcePlace, std::less<>> places;

  const DatasetConfig* FindDataset(std::string_view name) const;
  const ReferenceConfig* FindReference(std::string_view name) const;
  const PipelineSpec* FindPipeline(std::string_view name) const;
  // The dataset at the root of a pipeline's chain of `from`.
  const DatasetConfig* RootOf(const PipelineSpec& pipeline) const;
  // The pipeline and those it reads from, those read from first.
  std::vector<const PipelineSpec*> ChainOf(const PipelineSpec& pipeline) const;
  // The topic of accepted events.
  bus::TopicSpec TopicOf(const DatasetConfig& dataset) const;
  // Where the setting stands, or the nearest section around it.
  SourcePlace PlaceOf(std::string_view path) const;
};

// One thing wrong in a file: "file:line:column: what; meant".
struct Mistake {
  SourcePlace place;
  std::string what;
  std::string meant;  // what was probably meant, or what to do; may be empty
  std::string ToString() const;
};

// A setting that comes from the command line or the environment and goes before the file's.
struct Override {
  std::string path;    // "listen.http"
  std::string value;   // as it would be written in the file; a path is relative to the working directory
  std::string origin;  // "--data", "SIGHTLINE_DATA"
};

struct LoadOptions {
  std::vector<Override> overrides;
  // Value of an environment variable, for {env: NAME}; the process's own when empty.
  std::function<std::optional<std::string>(const std::string&)> environment;
};

struct Loaded {
  std::optional<Config> config;   // there when nothing is wrong
  std::vector<Mistake> mistakes;  // all of them, by place
};

// Reads the file and the contracts it names, and reports every mistake at once.
Loaded LoadConfigReportingAll(runtime::FileSystem& files, const std::string& path, const LoadOptions& options = {});

// A configuration without datasets, everything else at its default; `data` is ./data.
Config Defaults();

// LoadConfigReportingAll as a result: kInvalidArgument with one line a mistake; kNotFound when there is no such file.
Result<Config> LoadConfig(runtime::FileSystem& files, const std::string& path, const LoadOptions& options = {});

}  // namespace sightline::config
