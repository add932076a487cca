// `drivers.flink`: the cluster that pipelines may run on.
#include "sightline/config/table_internal.h"

namespace sightline::config {
namespace {

using enum ValueType;
using namespace internal;

constexpr std::string_view kSinks[] = {"upsert_kafka", "files", "jdbc"};

constexpr Property kFlinkProperties[] = {
    {.name = "gateway",
     .type = kText,
     .help = "Address of the SQL gateway, with its base path if it has one.",
     .example = "https://flink-gateway:8083",
     .required = true,
     .access = Bind<&FlinkConfig::gateway, kText>()},
    {.name = "rest",
     .type = kText,
     .help = "Address of the job manager's REST service, by which jobs are followed, stopped and measured.",
     .example = "https://flink-jobmanager:8081",
     .required = true,
     .access = Bind<&FlinkConfig::rest, kText>()},
    {.name = "token",
     .type = kSecret,
     .help = "Sent to both as a bearer token, for a proxy before them that asks for one. Anything but loopback needs https then.",
     .example = "{env: FLINK_TOKEN}",
     .access = Bind<&FlinkConfig::token, kSecret>()},
    {.name = "ca",
     .type = kPath,
     .help = "PEM file with the authorities that may sign their certificates. Left out: those of the system.",
     .example = "tls/ca.pem",
     .access = Bind<&FlinkConfig::ca, kPath>()},
    {.name = "timeout",
     .type = kDuration,
     .default_text = "30s",
     .help = "The longest a request to either may take.",
     .min = 100,
     .max = 10 * kMinute,
     .access = Bind<&FlinkConfig::timeout, kDuration>()},
    {.name = "checkpoint_interval",
     .type = kDuration,
     .default_text = "1s",
     .help = "How often a job commits: results are seen after a checkpoint.",
     .min = 100,
     .max = kHour,
     .access = Bind<&FlinkConfig::checkpoint_interval, kDuration>()},
    {.name = "brokers",
     .type = kEndpoints,
     .help = "Kafka's brokers as the cluster reaches them. Left out: those of `drivers.bus`.",
     .example = "[broker-1:9092]",
     .access = Bind<&FlinkConfig::brokers, kEndpoints>()},
    {.name = "files",
     .type = kText,
     .help = "URL of a folder that the cluster reaches: for the sink `files`.",
     .example = "s3://bucket/results",
     .access = Bind<&FlinkConfig::files, kText>()},
    {.name = "savepoints",
     .type = kText,
     .help = "URL of a folder for savepoints that the cluster reaches. Left out: where the cluster is set to put them.",
     .example = "s3://bucket/savepoints",
     .access = Bind<&FlinkConfig::savepoints, kText>()},
    {.name = "sinks",
     .type = kChoices,
     .default_text = "[]",
     .help = "What a job writes besides the results that come home: rows by key in topics (`upsert_kafka`), Parquet files by group and day "
             "(`files`), tables of a database by the cluster's own JDBC connector (`jdbc`).",
     .example = "[files]",
     .choices = kSinks,
     .access = Bind<&FlinkConfig::sinks, kChoices>()},
    {.name = "jdbc",
     .type = kText,
     .help = "URL of the database, as the cluster reaches it; the table of a pipeline has its name and must be there.",
     .example = "jdbc:postgresql://postgres/statistics",
     .access = Bind<&FlinkConfig::jdbc, kText>()},
    {.name = "jdbc_user", .type = kText, .help = "Its user.", .access = Bind<&FlinkConfig::jdbc_user, kText>()},
    {.name = "jdbc_password",
     .type = kSecret,
     .help = "Its password.",
     .example = "{env: FLINK_JDBC_PASSWORD}",
     .access = Bind<&FlinkConfig::jdbc_password, kSecret>()},
};

}  // namespace

namespace internal {
const Section kFlinkSection{"drivers.flink", kFlinkHelp, kFlinkProperties};
}  // namespace internal

}  // namespace sightline::config
