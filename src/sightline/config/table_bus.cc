// `drivers.bus`: the embedded log's settings and Kafka's.
#include "sightline/config/table_internal.h"

namespace sightline::config {
namespace {

using enum ValueType;
using namespace internal;

// The order of each list is the order of the enumeration it stands for.
constexpr std::string_view kBusTypes[] = {"log", "kafka"};
constexpr std::string_view kSaslMechanisms[] = {"plain", "scram-sha-256", "scram-sha-512"};
constexpr std::string_view kKafkaCompressions[] = {"none", "gzip", "snappy", "lz4", "zstd"};

constexpr Property kBusTlsProperties[] = {
    {.name = "ca",
     .type = kPath,
     .help = "PEM file with the authorities that may sign the brokers' certificates. Left out: those of the system.",
     .example = "tls/ca.pem",
     .access = Bind<&ClientTlsConfig::ca, kPath>()},
    {.name = "certificate",
     .type = kPath,
     .help = "PEM file with a certificate to show to the brokers, and the chain above it; with `key`.",
     .example = "tls/client.pem",
     .access = Bind<&ClientTlsConfig::certificate, kPath>()},
    {.name = "key",
     .type = kPath,
     .help = "PEM file with its private key; readable by this user alone.",
     .example = "tls/client.key",
     .access = Bind<&ClientTlsConfig::key, kPath>()},
    {.name = "key_password",
     .type = kSecret,
     .help = "Password of the private key, if it has one.",
     .access = Bind<&ClientTlsConfig::key_password, kSecret>()},
};
constexpr Section kBusTls{"drivers.bus.tls",
                          "For Kafka: makes connections to the brokers speak TLS. Certificates and host names are checked.",
                          kBusTlsProperties};

constexpr Property kSaslProperties[] = {
    {.name = "mechanism",
     .type = kChoice,
     .default_text = "scram-sha-512",
     .help = "How the user proves who it is. With `plain` the broker is told the password: use it over TLS alone.",
     .choices = kSaslMechanisms,
     .access = Bind<&SaslConfig::mechanism, kChoice>()},
    {.name = "user",
     .type = kText,
     .help = "The user's name.",
     .example = "sightline",
     .required = true,
     .access = Bind<&SaslConfig::user, kText>()},
    {.name = "password",
     .type = kSecret,
     .help = "The user's password.",
     .example = "{env: KAFKA_PASSWORD}",
     .required = true,
     .access = Bind<&SaslConfig::password, kSecret>()},
};
constexpr Section kSasl{"drivers.bus.sasl", "For Kafka: who we are.", kSaslProperties};

constexpr Property kRegistryProperties[] = {
    {.name = "url",
     .type = kText,
     .help = "Address of the registry with its base path. Anything but loopback needs https where a password is sent.",
     .example = "https://registry.example.com/apis/ccompat/v7",
     .required = true,
     .access = Bind<&RegistryConfig::url, kText>()},
    {.name = "user", .type = kText, .help = "User for basic authentication.", .access = Bind<&RegistryConfig::user, kText>()},
    {.name = "password",
     .type = kSecret,
     .help = "Its password.",
     .example = "{env: REGISTRY_PASSWORD}",
     .access = Bind<&RegistryConfig::password, kSecret>()},
    {.name = "ca",
     .type = kPath,
     .help = "PEM file with the authorities that may sign the registry's certificate. Left out: those of the system.",
     .access = Bind<&RegistryConfig::ca, kPath>()},
    {.name = "timeout",
     .type = kDuration,
     .default_text = "10s",
     .help = "The longest a request to the registry may take.",
     .min = 100,
     .max = 10 * kMinute,
     .access = Bind<&RegistryConfig::timeout, kDuration>()},
};
constexpr Section kRegistry{"drivers.bus.registry",
                            "For Kafka: the schema registry (Confluent's API) of topics whose values are in Confluent's wire format.",
                            kRegistryProperties};

constexpr Property kBusProperties[] = {
    {.name = "type",
     .type = kChoice,
     .default_text = "log",
     .help = "The event bus: `log` is the embedded durable log, `kafka` a Kafka cluster. Most settings are for one of them.",
     .choices = kBusTypes,
     .access = Bind<&BusConfig::type, kChoice>()},
    {.name = "durability",
     .type = kChoice,
     .default_text = "fsync",
     .help = "What an acknowledged event is: on disk (`fsync`), on disk within `interval` (`interval`), or in the page cache (`os`).",
     .choices = kDurabilities,
     .access = Bind<&BusConfig::durability, kChoice>()},
    {.name = "interval",
     .type = kDuration,
     .default_text = "100ms",
     .help = "For the durability `interval`: the longest an acknowledged event may not be on disk yet.",
     .min = 1,
     .max = kMinute,
     .access = Bind<&BusConfig::interval, kDuration>()},
    {.name = "segment",
     .type = kBytes,
     .default_text = "256MiB",
     .help = "Size of one file of a partition. Retention deletes whole files.",
     .min = kMiB,
     .max = 2 * kGiB,
     .access = Bind<&BusConfig::segment_bytes, kBytes>()},
    {.name = "when_full",
     .type = kChoice,
     .default_text = "refuse",
     .help = "At the disk limit: `refuse` new events (429, the sender tries again) or `drop` the oldest ones that nobody holds, and count "
             "them.",
     .choices = kWhenFull,
     .access = Bind<&BusConfig::when_full, kChoice>()},
    {.name = "brokers",
     .type = kEndpoints,
     .help = "For Kafka: brokers to ask for the others.",
     .example = "[broker-1:9092, broker-2:9092]",
     .access = Bind<&BusConfig::brokers, kEndpoints>()},
    {.name = "prefix",
     .type = kTopic,
     .help = "For Kafka: stands before the names of all topics, consumer groups and transactional ids, so that several set-ups share a "
             "cluster. Topics of others, which a gate reads, are named in full.",
     .example = "sightline.",
     .access = Bind<&BusConfig::prefix, kTopic>()},
    {.name = "tls", .type = kSection, .help = kBusTls.help, .access = BindSection<&BusConfig::tls>(), .section = &kBusTls},
    {.name = "sasl", .type = kSection, .help = kSasl.help, .access = BindSection<&BusConfig::sasl>(), .section = &kSasl},
    {.name = "client_id",
     .type = kTopic,
     .default_text = "sightline",
     .help = "For Kafka: what the brokers call this program in their logs and quotas.",
     .access = Bind<&BusConfig::client_id, kTopic>()},
    {.name = "compression",
     .type = kChoice,
     .default_text = "lz4",
     .help = "For Kafka: of what is sent, unless a dataset says otherwise.",
     .choices = kKafkaCompressions,
     .access = Bind<&BusConfig::compression, kChoice>()},
    {.name = "linger",
     .type = kDuration,
     .default_text = "1ms",
     .help = "For Kafka: how long a record waits for others that go along.",
     .max = kSecond,
     .access = Bind<&BusConfig::linger, kDuration>()},
    {.name = "message_max",
     .type = kBytes,
     .default_text = "1000000B",
     .help = "For Kafka: the largest record that is sent. Brokers and topics have limits of their own (`message.max.bytes`, "
             "`max.message.bytes`), which hold as well.",
     .min = kKiB,
     .max = kGiB,
     .access = Bind<&BusConfig::message_max, kBytes>()},
    {.name = "replication",
     .type = kInteger,
     .default_text = "3",
     .help = "For Kafka: copies of each record in topics that we make.",
     .min = 1,
     .max = 15,
     .access = Bind<&BusConfig::replication, kInteger>()},
    {.name = "min_insync",
     .type = kInteger,
     .default_text = "2",
     .help =
         "For Kafka: copies that must be there before a record is acknowledged. Less than `replication`, or one broker that is down stops "
         "all writing.",
     .min = 1,
     .max = 15,
     .access = Bind<&BusConfig::min_insync, kInteger>()},
    {.name = "request_timeout",
     .type = kDuration,
     .default_text = "30s",
     .help = "For Kafka: the longest a request to a broker may take.",
     .min = kSecond,
     .max = 10 * kMinute,
     .access = Bind<&BusConfig::request_timeout, kDuration>()},
    {.name = "delivery_timeout",
     .type = kDuration,
     .default_text = "30s",
     .help = "For Kafka: the longest until a record is acknowledged; then its sender is told that it may not be there.",
     .min = kSecond,
     .max = 10 * kMinute,
     .access = Bind<&BusConfig::delivery_timeout, kDuration>()},
    {.name = "registry", .type = kSection, .help = kRegistry.help, .access = BindSection<&BusConfig::registry>(), .section = &kRegistry},
};

}  // namespace

namespace internal {
const Section kBusSection{"drivers.bus", kBusHelp, kBusProperties};
}  // namespace internal

}  // namespace sightline::config
