#include "sightline/config/table.h"

#include <limits>

#include "sightline/config/postgres_table.h"
#include "sightline/config/table_internal.h"
#include "sightline/model/live.h"

namespace sightline::config {
namespace {

using enum ValueType;
using namespace internal;

// The order of each list is the order of the enumeration it stands for.
constexpr std::string_view kCompressions[] = {"none", "lz4", "zstd"};
constexpr std::string_view kObjectTypes[] = {"files", "s3", "gcs", "hdfs"};
constexpr std::string_view kAddressings[] = {"auto", "path", "virtual"};
constexpr std::string_view kObjectCredentials[] = {"auto", "anonymous"};
constexpr std::string_view kChecksums[] = {"none", "sha256", "crc64nvme"};
constexpr std::string_view kStatisticsTypes[] = {"duckdb", "postgres"};
// As security/principal.h names them; a test keeps the two lists equal.
constexpr std::string_view kPermissions[] = {"results.read", "ingest.write", "topics.read", "topics.write",
                                             "sql.run",      "metrics.read", "admin"};
constexpr std::string_view kSinks[] = {"statistics", "live"};
constexpr std::string_view kEngines[] = {"flow", "flink"};

constexpr Property kTlsProperties[] = {
    {.name = "certificate",
     .type = kPath,
     .help = "PEM file with the server's certificate and the chain above it.",
     .example = "tls/server.pem",
     .required = true,
     .access = Bind<&TlsConfig::certificate, kPath>()},
    {.name = "key",
     .type = kPath,
     .help = "PEM file with the certificate's private key; readable by this user alone.",
     .example = "tls/server.key",
     .required = true,
     .access = Bind<&TlsConfig::key, kPath>()},
};
constexpr Section kTls{"listen.tls", "Makes the HTTP listener speak TLS.", kTlsProperties};

constexpr Property kListenProperties[] = {
    {.name = "http",
     .type = kEndpoint,
     .default_text = "127.0.0.1:8080",
     .help = "Address of the API and the dashboard. An address that others can reach needs `listen.tls` and `access.tokens`. Port 0 takes "
             "a free one.",
     .access = Bind<&ListenConfig::http, kEndpoint>()},
    {.name = "health",
     .type = kEndpoint,
     .default_text = "127.0.0.1:8081",
     .help = "Address of `/healthz` and `/readyz`, which hold no data and ask for no token.",
     .access = Bind<&ListenConfig::health, kEndpoint>()},
    {.name = "tls", .type = kSection, .help = kTls.help, .access = BindSection<&ListenConfig::tls>(), .section = &kTls},
};
constexpr Section kListen{"listen", "Where the server listens.", kListenProperties};

constexpr Property kObjectsProperties[] = {
    {.name = "type",
     .type = kChoice,
     .default_text = "files",
     .help = "The object store: `files` keeps objects below `data`; `s3` is Amazon S3 or what speaks its protocol, `gcs` Google Cloud "
             "Storage, `hdfs` Hadoop's file system.",
     .choices = kObjectTypes,
     .access = Bind<&ObjectsConfig::type, kChoice>()},
    {.name = "bucket",
     .type = kText,
     .help = "`s3`, `gcs`: the bucket. It must exist.",
     .example = "my-bucket",
     .access = Bind<&ObjectsConfig::bucket, kText>()},
    {.name = "prefix",
     .type = kText,
     .help = "`s3`, `gcs`: every key begins with it, so that several deployments can share a bucket.",
     .example = "sightline/production",
     .access = Bind<&ObjectsConfig::prefix, kText>()},
    {.name = "endpoint",
     .type = kText,
     .help = "`s3`, `gcs`: address of a service other than Amazon's or Google's own.",
     .example = "https://minio.example.com:9000",
     .access = Bind<&ObjectsConfig::endpoint, kText>()},
    {.name = "region",
     .type = kText,
     .help = "`s3`: the bucket's region. Left out: `us-east-1`.",
     .example = "eu-central-1",
     .access = Bind<&ObjectsConfig::region, kText>()},
    {.name = "addressing",
     .type = kChoice,
     .default_text = "auto",
     .help = "`s3`: the bucket in the URL's path (`path`) or in the host's name (`virtual`); `auto` is `path` with an `endpoint`, else "
             "`virtual`.",
     .choices = kAddressings,
     .access = Bind<&ObjectsConfig::addressing, kChoice>()},
    {.name = "credentials",
     .type = kChoice,
     .default_text = "auto",
     .help = "`s3`, `gcs`: `auto` takes the keys below or, without them, what the environment gives (`AWS_ACCESS_KEY_ID` …, "
             "`GOOGLE_APPLICATION_CREDENTIALS`, the role of the container or machine); `anonymous` sends none.",
     .choices = kObjectCredentials,
     .access = Bind<&ObjectsConfig::credentials, kChoice>()},
    {.name = "access_key",
     .type = kSecret,
     .help = "`s3`: the access key id, together with `secret_key`.",
     .example = "{env: S3_ACCESS_KEY}",
     .access = Bind<&ObjectsConfig::access_key, kSecret>()},
    {.name = "secret_key",
     .type = kSecret,
     .help = "`s3`: the secret access key.",
     .example = "{env: S3_SECRET_KEY}",
     .access = Bind<&ObjectsConfig::secret_key, kSecret>()},
    {.name = "session_token",
     .type = kSecret,
     .help = "`s3`: the token that belongs to temporary keys.",
     .example = "{env: S3_SESSION_TOKEN}",
     .access = Bind<&ObjectsConfig::session_token, kSecret>()},
    {.name = "checksum",
     .type = kChoice,
     .default_text = "none",
     .help = "`s3`: a checksum that the service compares and keeps with each object. On its way every body is covered by the request's "
             "signature anyway.",
     .choices = kChecksums,
     .access = Bind<&ObjectsConfig::checksum, kChoice>()},
    {.name = "service_account",
     .type = kSecret,
     .help = "`gcs`: the JSON key of a service account.",
     .example = "{file: secrets/gcs.json}",
     .access = Bind<&ObjectsConfig::service_account, kSecret>()},
    {.name = "url",
     .type = kText,
     .help = "`hdfs`: the name node, or the name of a service that `hadoop_conf` describes, and the directory that holds the objects.",
     .example = "hdfs://namenode:8020/sightline",
     .access = Bind<&ObjectsConfig::url, kText>()},
    {.name = "user",
     .type = kText,
     .help = "`hdfs`: who acts, without Kerberos. Left out: `HADOOP_USER_NAME` or the system's user.",
     .access = Bind<&ObjectsConfig::user, kText>()},
    {.name = "hadoop_conf",
     .type = kPath,
     .help = "`hdfs`: directory with `core-site.xml` and `hdfs-site.xml`. Left out: `HADOOP_CONF_DIR`.",
     .access = Bind<&ObjectsConfig::hadoop_conf, kPath>()},
    {.name = "principal",
     .type = kText,
     .help = "`hdfs`: Kerberos principal, together with `keytab`.",
     .access = Bind<&ObjectsConfig::principal, kText>()},
    {.name = "keytab",
     .type = kPath,
     .help = "`hdfs`: Kerberos keytab of the principal; readable by this user alone.",
     .access = Bind<&ObjectsConfig::keytab, kPath>()},
    {.name = "tls_ca",
     .type = kPath,
     .help = "`s3`, `gcs`: PEM file of authorities to trust besides the system's.",
     .example = "tls/ca.pem",
     .access = Bind<&ObjectsConfig::tls_ca, kPath>()},
    {.name = "connect_timeout",
     .type = kDuration,
     .default_text = "5s",
     .help = "Time to connect.",
     .min = 10,
     .max = kMinute,
     .access = Bind<&ObjectsConfig::connect_timeout, kDuration>()},
    {.name = "request_timeout",
     .type = kDuration,
     .default_text = "30s",
     .help = "Time for one request, from its connection to the last byte of its answer; large objects are many requests.",
     .min = 10,
     .max = kHour,
     .access = Bind<&ObjectsConfig::request_timeout, kDuration>()},
    {.name = "retries_max",
     .type = kInteger,
     .default_text = "8",
     .help = "How often a request that failed for a while is sent again, after a pause that doubles and is spread by chance.",
     .min = 0,
     .max = 100,
     .access = Bind<&ObjectsConfig::retries_max, kInteger>()},
    {.name = "retry_time_max",
     .type = kDuration,
     .default_text = "1m",
     .help = "After so long no request is sent again.",
     .max = kHour,
     .access = Bind<&ObjectsConfig::retry_time_max, kDuration>()},
};
constexpr Section kObjects{"drivers.objects", "The object store.", kObjectsProperties};

constexpr Property kStatisticsProperties[] = {
    {.name = "type",
     .type = kChoice,
     .default_text = "duckdb",
     .help = "The statistics store: `duckdb` is embedded, `postgres` a server (docs/connectors/postgres.md).",
     .choices = kStatisticsTypes,
     .access = Bind<&StatisticsConfig::type, kChoice>()},
    {.name = "memory_max",
     .type = kBytes,
     .default_text = "512MiB",
     .help = "Memory the embedded statistics store may take.",
     .min = 64 * kMiB,
     .max = kTiB,
     .access = Bind<&StatisticsConfig::memory_max, kBytes>()},
    {.name = "url",
     .type = kSecret,
     .help = "Of `postgres`: the connection, `postgresql://USER:PASSWORD@HOST:PORT/DATABASE`.",
     .example = "{env: PG_URL}",
     .access = Bind<&StatisticsConfig::url, kSecret>()},
    {.name = "tls",
     .type = kSection,
     .help = PostgresTlsSection().help,
     .access = BindSection<&StatisticsConfig::tls>(),
     .section = &PostgresTlsSection()},
    {.name = "schema",
     .type = kName,
     .default_text = "sightline",
     .help = "Of `postgres`: the schema of the views; the tables behind them are in `SCHEMA_store`.",
     .access = Bind<&StatisticsConfig::schema, kName>()},
    {.name = "reader",
     .type = kName,
     .default_text = "sightline_reader",
     .help = "Of `postgres`: a role that gets the right to read the views, if it exists. `none` for no role.",
     .access = Bind<&StatisticsConfig::reader, kName>()},
    {.name = "connections_max",
     .type = kInteger,
     .default_text = "8",
     .help = "Of `postgres`: connections at once.",
     .min = 2,
     .max = 1000,
     .access = Bind<&StatisticsConfig::connections_max, kInteger>()},
    {.name = "connect_timeout",
     .type = kDuration,
     .default_text = "10s",
     .help = "Of `postgres`: how long a connection may take to come about.",
     .min = 100,
     .max = 10 * kMinute,
     .access = Bind<&StatisticsConfig::connect_timeout, kDuration>()},
    {.name = "statement_timeout",
     .type = kDuration,
     .default_text = "30s",
     .help = "Of `postgres`: how long a statement may take.",
     .min = 100,
     .max = kHour,
     .access = Bind<&StatisticsConfig::statement_timeout, kDuration>()},
};
constexpr Section kStatistics{"drivers.statistics", "The store of results.", kStatisticsProperties};

constexpr Property kDriversProperties[] = {
    {.name = "bus", .type = kSection, .help = kBusHelp, .access = BindSection<&DriversConfig::bus>(), .section = &kBusSection},
    {.name = "objects", .type = kSection, .help = kObjects.help, .access = BindSection<&DriversConfig::objects>(), .section = &kObjects},
    {.name = "statistics",
     .type = kSection,
     .help = kStatistics.help,
     .access = BindSection<&DriversConfig::statistics>(),
     .section = &kStatistics},
    {.name = "flink", .type = kSection, .help = kFlinkHelp, .access = BindSection<&DriversConfig::flink>(), .section = &kFlinkSection},
};
constexpr Section kDrivers{"drivers", "What carries and keeps the data. The embedded drivers need nothing else installed.",
                           kDriversProperties};

constexpr Property kWatermarkProperties[] = {
    {.name = "on",
     .type = kName,
     .help = "The contract's event-time field.",
     .example = "timestamp_detected",
     .required = true,
     .access = Bind<&WatermarkSpec::on, kName>()},
    {.name = "out_of_orderness",
     .type = kDuration,
     .default_text = "30s",
     .help = "How far the watermark stays behind the greatest event time of its partition.",
     .max = kYear,
     .access = Bind<&WatermarkSpec::out_of_orderness, kDuration>()},
    {.name = "idle_after",
     .type = kDuration,
     .default_text = "10s",
     .help = "A partition without events for so long gets ticks that move its watermark on; `0s`: never.",
     .max = kDay,
     .access = Bind<&WatermarkSpec::idle_after, kDuration>()},
    {.name = "ahead_max",
     .type = kDuration,
     .default_text = "1m",
     .help = "An event whose time is further than this ahead of the log's clock is a dead letter (`future`); `0s`: no bound.",
     .max = kYear,
     .access = Bind<&WatermarkSpec::ahead_max, kDuration>()},
};
constexpr Section kWatermark{"watermark", "How the dataset's partitions tell the time.", kWatermarkProperties};

constexpr Property kRetainProperties[] = {
    {.name = "time",
     .type = kDuration,
     .default_text = "7d",
     .help = "Events older than this are deleted, unless a pipeline or sink still needs them; `0s`: never.",
     .max = 100 * kYear,
     .access = Bind<&RetainConfig::time, kDuration>()},
    {.name = "bytes",
     .type = kBytes,
     .default_text = "0B",
     .help = "Disk the topic may take, all partitions together, oldest events deleted first; `0B`: no limit.",
     .max = std::numeric_limits<std::int64_t>::max(),
     .access = Bind<&RetainConfig::bytes, kBytes>()},
    {.name = "dead_letters",
     .type = kDuration,
     .default_text = "30d",
     .help = "What was refused at ingest or by the gate is kept as long as this; `0s`: for ever.",
     .max = 100 * kYear,
     .access = Bind<&RetainConfig::dead_letters, kDuration>()},
};
constexpr Section kRetain{"retain", "How long events are kept.", kRetainProperties};

constexpr Property kRetainResultsProperties[] = {
    {.name = "statistics",
     .type = kDuration,
     .default_text = "400d",
     .help = "Windows that ended so long before the pipeline's newest one (or before now, if that is earlier) are deleted from the "
             "statistics store, a few minutes after they may be; `0s`: never.",
     .max = 100 * kYear,
     .access = Bind<&RetainResultsSpec::statistics, kDuration>()},
    {.name = "topics",
     .type = kDuration,
     .default_text = "30d",
     .help = "Records of the pipeline's own topics, results and dead letters, older than this are deleted, unless a pipeline or sink "
             "still needs them; `0s`: never.",
     .max = 100 * kYear,
     .access = Bind<&RetainResultsSpec::topics, kDuration>()},
};
constexpr Section kRetainResults{"retain", "How long results and dead letters are kept.", kRetainResultsProperties};

constexpr Property kDatasetProperties[] = {
    {.name = "contract",
     .type = kPath,
     .help = "The dataset's contract, an Open Data Contract Standard v3 file.",
     .example = "contracts/camera_events.odcs.yaml",
     .required = true,
     .access = Bind<&DatasetConfig::contract_file, kPath>()},
    {.name = "topic",
     .type = kTopic,
     .help = "Topic of accepted events. Left out: the dataset's name.",
     .example = "camera_events",
     .access = Bind<&DatasetConfig::topic, kTopic>()},
    {.name = "gate", .type = kSection, .help = kGateHelp, .access = BindSection<&DatasetConfig::gate>(), .section = &kGateSection},
    {.name = "partitions",
     .type = kInteger,
     .default_text = "1",
     .help = "Number of partitions; a partition's events are worked on in order by one core. Fixed for a topic's life.",
     .min = 1,
     .max = 1024,
     .access = Bind<&DatasetConfig::partitions, kInteger>()},
    {.name = "partition_by",
     .type = kName,
     .help = "The field whose value gives the partition. Deduplication and groups must determine it.",
     .example = "geographical_location_oid",
     .required = true,
     .access = Bind<&DatasetConfig::partition_by, kName>()},
    {.name = "determines",
     .type = kDependencies,
     .help = "What a field determines: events with the same value of the first have the same values of the others. A promise of the "
             "producers, which lets a "
             "group or a deduplication leave out `partition_by`.",
     .example = "{detection_oid: [video_camera_oid], video_camera_oid: [geographical_location_oid]}",
     .access = Bind<&DatasetConfig::determines, kDependencies>()},
    {.name = "watermark",
     .type = kSection,
     .help = kWatermark.help,
     .required = true,
     .access = BindSection<&DatasetConfig::watermark>(),
     .section = &kWatermark},
    {.name = "retain", .type = kSection, .help = kRetain.help, .access = BindSection<&DatasetConfig::retain>(), .section = &kRetain},
    {.name = "durability",
     .type = kChoice,
     .help = "Instead of `drivers.bus.durability`, for this dataset.",
     .choices = kDurabilities,
     .access = Bind<&DatasetConfig::durability, kChoice>()},
    {.name = "when_full",
     .type = kChoice,
     .help = "Instead of `drivers.bus.when_full`, for this dataset.",
     .choices = kWhenFull,
     .access = Bind<&DatasetConfig::when_full, kChoice>()},
    {.name = "compression",
     .type = kChoice,
     .default_text = "none",
     .help = "How batches are compressed in the log.",
     .choices = kCompressions,
     .access = Bind<&DatasetConfig::compression, kChoice>()},
};
constexpr Section kDataset{"a dataset", "Events of one kind: their contract, their topic, and how they tell the time.", kDatasetProperties};

constexpr Property kReferenceProperties[] = {
    {.name = "contract",
     .type = kPath,
     .help = "The table's contract, an Open Data Contract Standard v3 file.",
     .example = "contracts/locations.odcs.yaml",
     .required = true,
     .access = Bind<&ReferenceConfig::contract_file, kPath>()},
    {.name = "from",
     .type = kPathOrUrl,
     .help = "The table: a `.csv`, `.json`, `.ndjson` or `.parquet` file. A path, `objects:KEY` for an object of `drivers.objects`, or "
             "`s3://BUCKET/KEY`, `gs://BUCKET/KEY`, `hdfs://HOST:PORT/PATH`. A change is found within seconds. Either this or `postgres`.",
     .example = "references/locations.csv",
     .access = Bind<&ReferenceConfig::from, kPathOrUrl>()},
    {.name = "postgres",
     .type = kSection,
     .help = PostgresReferenceSection().help,
     .access = BindSection<&ReferenceConfig::postgres>(),
     .section = &PostgresReferenceSection()},
    {.name = "key",
     .type = kName,
     .help = "The field that identifies a row.",
     .example = "geographical_location_oid",
     .required = true,
     .access = Bind<&ReferenceConfig::key, kName>()},
};
constexpr Section kReference{"a reference", "A small table that results are enriched from. It can be reloaded while the server runs.",
                             kReferenceProperties};

// `to` is a list in the file and two flags in a PipelineSpec.
void SetSinks(void* object, Value value) {
  auto& pipeline = *static_cast<PipelineSpec*>(object);
  pipeline.to_statistics = pipeline.to_live = false;
  for (const std::string& sink : std::get<std::vector<std::string>>(value)) {
    if (sink == "statistics") pipeline.to_statistics = true;
    if (sink == "live") pipeline.to_live = true;
  }
}
Value GetSinks(const void* object) {
  const auto& pipeline = *static_cast<const PipelineSpec*>(object);
  std::vector<std::string> sinks;
  if (pipeline.to_statistics) sinks.emplace_back("statistics");
  if (pipeline.to_live) sinks.emplace_back("live");
  return sinks;
}
void* OpenSteps(void* object) { return &static_cast<PipelineSpec*>(object)->steps; }
const void* StepsAt(const void* object, std::size_t i) { return i == 0 ? &static_cast<const PipelineSpec*>(object)->steps : nullptr; }

constexpr Property kPipelineProperties[] = {
    {.name = "from",
     .type = kName,
     .help = "A dataset, or another pipeline whose results are read.",
     .example = "camera_events",
     .required = true,
     .access = Bind<&PipelineSpec::from, kName>()},
    {.name = "steps",
     .type = kSteps,
     .help = "What is done with each event, in this order.",
     .required = true,
     .access = {.open = &OpenSteps, .at = &StepsAt}},
    {.name = "engine",
     .type = kChoice,
     .default_text = "flow",
     .help =
         "Of a pipeline that reads a dataset, and of all that read from it: what runs them. `flow` is sightline's own engine, `flink` the "
         "cluster of `drivers.flink`.",
     .choices = kEngines,
     .access = Bind<&PipelineSpec::engine, kChoice>()},
    {.name = "to",
     .type = kChoices,
     .default_text = "[]",
     .help = "Where results go besides the pipeline's own topic: the statistics store, the live board.",
     .example = "[statistics, live]",
     .choices = kSinks,
     .access = {.set = &SetSinks, .get = &GetSinks}},
    {.name = "retain",
     .type = kSection,
     .help = kRetainResults.help,
     .access = BindSection<&PipelineSpec::retain>(),
     .section = &kRetainResults},
};
constexpr Section kPipeline{"a pipeline", "Turns events, or another pipeline's results, into results.", kPipelineProperties};

constexpr Property kTokenProperties[] = {
    {.name = "name",
     .type = kName,
     .help = "Who holds the token; at `--log-level debug` it stands in the log with every request.",
     .example = "dashboard",
     .required = true,
     .access = Bind<&TokenConfig::name, kName>()},
    {.name = "token",
     .type = kSecret,
     .help = "The token itself, from the environment or a file.",
     .example = "{env: DASHBOARD_TOKEN}",
     .access = Bind<&TokenConfig::token, kSecret>()},
    {.name = "sha256",
     .type = kText,
     .help = "Instead of `token`: its SHA-256 in 64 hexadecimal digits.",
     .access = Bind<&TokenConfig::sha256, kText>()},
    {.name = "permissions",
     .type = kChoices,
     .default_text = "[results.read]",
     .help = "What its holder may do. `results.read` covers live views, references and status; `topics.read` raw events and dead letters, "
             "`topics.write` replays; `admin` everything.",
     .choices = kPermissions,
     .access = Bind<&TokenConfig::permissions, kChoices>()},
};
constexpr Section kToken{"a token", "A token besides the generated one in `<data>/admin.token`.", kTokenProperties};
constexpr Property kAccessProperties[] = {
    {.name = "tokens", .type = kSections, .help = kToken.help, .access = BindSection<&AccessConfig::tokens>(), .section = &kToken},
};
constexpr Section kAccess{"access", "Who may do what.", kAccessProperties};

constexpr Property kIngestProperties[] = {
    {.name = "body_max",
     .type = kBytes,
     .default_text = "64MiB",
     .help = "Size of a request's body, after decompression.",
     .min = kKiB,
     .max = 2 * kGiB,
     .access = Bind<&IngestLimits::body_max, kBytes>()},
    {.name = "line_max",
     .type = kBytes,
     .default_text = "1MiB",
     .help = "Size of one event.",
     .min = 64,
     .max = 64 * kMiB,
     .access = Bind<&IngestLimits::line_max, kBytes>()},
    {.name = "fields_max",
     .type = kInteger,
     .default_text = "1024",
     .help = "Fields of one event.",
     .min = 1,
     .max = 65'535,
     .access = Bind<&IngestLimits::fields_max, kInteger>()},
    {.name = "depth_max",
     .type = kInteger,
     .default_text = "64",
     .help = "Depth of objects and lists within one event.",
     .min = 1,
     .max = 1000,
     .access = Bind<&IngestLimits::depth_max, kInteger>()},
};
constexpr Section kIngest{"limits.ingest", "What one sender may ask for.", kIngestProperties};
constexpr Property kRequestsProperties[] = {
    {.name = "time_max",
     .type = kDuration,
     .default_text = "30s",
     .help = "Time a client has for a request's header (10s at most), for its body (a second more for every 4KiB of it; without a byte 15s "
             "at most), and for taking the next part of the answer. A request that does not come in time is answered 408.",
     .min = 100,
     .max = kHour,
     .access = Bind<&RequestLimits::time_max, kDuration>()},
    {.name = "idle_max",
     .type = kDuration,
     .default_text = "1m",
     .help = "Time a connection may stay open between requests.",
     .min = 100,
     .max = kDay,
     .access = Bind<&RequestLimits::idle_max, kDuration>()},
    {.name = "connections_max",
     .type = kInteger,
     .default_text = "20000",
     .help = "Connections at once.",
     .min = 1,
     .max = 1'000'000,
     .access = Bind<&RequestLimits::connections_max, kInteger>()},
};
constexpr Section kRequests{"limits.requests", "What one connection may take.", kRequestsProperties};
constexpr Property kSqlProperties[] = {
    {.name = "time_max",
     .type = kDuration,
     .default_text = "30s",
     .help = "Time of one query.",
     .min = 1,
     .max = kHour,
     .access = Bind<&SqlLimits::time_max, kDuration>()},
    {.name = "memory_max",
     .type = kBytes,
     .default_text = "256MiB",
     .help = "Memory of one query.",
     .min = kMiB,
     .max = kTiB,
     .access = Bind<&SqlLimits::memory_max, kBytes>()},
    {.name = "rows_max",
     .type = kInteger,
     .default_text = "10000",
     .help = "Rows of one answer; the rest is cut off and the answer says so.",
     .min = 1,
     .max = 10'000'000,
     .access = Bind<&SqlLimits::rows_max, kInteger>()},
};
constexpr Section kSql{"limits.sql", "What one SQL query may take.", kSqlProperties};
constexpr Property kLimitsProperties[] = {
    {.name = "ingest", .type = kSection, .help = kIngest.help, .access = BindSection<&LimitsConfig::ingest>(), .section = &kIngest},
    {.name = "requests", .type = kSection, .help = kRequests.help, .access = BindSection<&LimitsConfig::requests>(), .section = &kRequests},
    {.name = "sql", .type = kSection, .help = kSql.help, .access = BindSection<&LimitsConfig::sql>(), .section = &kSql},
};
constexpr Section kLimits{"limits", "Bounds on what one request may take.", kLimitsProperties};

constexpr Property kCheckpointProperties[] = {
    {.name = "interval",
     .type = kDuration,
     .default_text = "1s",
     .help = "A pipeline commits at least this often while events come in.",
     .min = 10,
     .max = kSecond,
     .access = Bind<&CheckpointConfig::interval, kDuration>()},
    {.name = "records",
     .type = kInteger,
     .default_text = "1000000",
     .help = "A partition takes a snapshot of its state after so many events, or after ten seconds if they are over first: it "
             "bounds what is processed again after a crash.",
     .min = 1,
     .max = 1'000'000'000,
     .access = Bind<&CheckpointConfig::records, kInteger>()},
};
constexpr Section kCheckpoint{"checkpoint", "When pipelines commit and take snapshots.", kCheckpointProperties};
constexpr Property kStateProperties[] = {
    {.name = "memory_max",
     .type = kBytes,
     .default_text = "4GiB",
     .help = "Memory for the state of all pipelines; what grows beyond it lives in files below the data directory.",
     .min = 16 * kMiB,
     .max = 16 * kTiB,
     .access = Bind<&StateConfig::memory_max, kBytes>()},
    {.name = "disk_max",
     .type = kBytes,
     .default_text = "50GiB",
     .help = "Disk for state that went over `memory_max`; an event without room on either is a dead letter (`state_limit`).",
     .max = std::numeric_limits<std::int64_t>::max(),
     .access = Bind<&StateConfig::disk_max, kBytes>()},
};
constexpr Section kState{"state", "Room for what pipelines remember.", kStateProperties};
constexpr Property kLiveProperties[] = {
    {.name = "clients_max",
     .type = kInteger,
     .default_text = "10000",
     .help = "Live clients at once.",
     .min = 1,
     .max = 1'000'000,
     .access = Bind<&LiveConfig::clients_max, kInteger>()},
    {.name = "rate",
     .type = kInteger,
     .default_text = "5",
     .help = "Changes a second that a client gets unless it asks for another rate.",
     .min = 1,
     .max = kLiveRateMax,
     .access = Bind<&LiveConfig::rate, kInteger>()},
};
constexpr Section kLive{"live", "The live board and its clients.", kLiveProperties};

constexpr Property kRootProperties[] = {
    {.name = "sightline",
     .type = kInteger,
     .help = "Version of this file's format.",
     .example = "1",
     .min = 1,
     .max = 1,
     .required = true,
     .access = Bind<&Config::version, kInteger>()},
    {.name = "data",
     .type = kPath,
     .default_text = "./data",
     .help = "Directory in which everything embedded lives. One process owns it.",
     .access = Bind<&Config::data, kPath>()},
    {.name = "listen", .type = kSection, .help = kListen.help, .access = BindSection<&Config::listen>(), .section = &kListen},
    {.name = "drivers", .type = kSection, .help = kDrivers.help, .access = BindSection<&Config::drivers>(), .section = &kDrivers},
    {.name = "datasets",
     .type = kNamedSections,
     .help = kDataset.help,
     .required = true,
     .access = BindNamed<&Config::datasets, DatasetConfig>(),
     .section = &kDataset},
    {.name = "references",
     .type = kNamedSections,
     .help = kReference.help,
     .access = BindNamed<&Config::references, ReferenceConfig>(),
     .section = &kReference},
    {.name = "pipelines",
     .type = kNamedSections,
     .help = kPipeline.help,
     .access = BindNamed<&Config::pipelines, PipelineSpec>(),
     .section = &kPipeline},
    {.name = "access", .type = kSection, .help = kAccess.help, .access = BindSection<&Config::access>(), .section = &kAccess},
    {.name = "limits", .type = kSection, .help = kLimits.help, .access = BindSection<&Config::limits>(), .section = &kLimits},
    {.name = "checkpoint",
     .type = kSection,
     .help = kCheckpoint.help,
     .access = BindSection<&Config::checkpoint>(),
     .section = &kCheckpoint},
    {.name = "state", .type = kSection, .help = kState.help, .access = BindSection<&Config::state>(), .section = &kState},
    {.name = "live", .type = kSection, .help = kLive.help, .access = BindSection<&Config::live>(), .section = &kLive},
};
constexpr Section kRoot{"the file", "The whole of a system: one file.", kRootProperties};

}  // namespace

const Section& RootSection() { return kRoot; }

}  // namespace sightline::config
