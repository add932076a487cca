#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sightline/base/result.h"
#include "sightline/bus/port.h"

namespace sightline::config {

// A value that is never printed. Where it came from ("env PG_URL", "file secrets/token") may be.
class Secret {
 public:
  Secret() = default;
  Secret(std::string value, std::string source) : value_(std::move(value)), source_(std::move(source)) {}
  const std::string& reveal() const { return value_; }
  const std::string& source() const { return source_; }
  bool empty() const { return source_.empty(); }

 private:
  std::string value_;
  std::string source_;
};

enum class BusType : std::uint8_t { kLog, kKafka };
enum class SaslMechanism : std::uint8_t { kPlain, kScramSha256, kScramSha512 };
enum class KafkaCompression : std::uint8_t { kNone, kGzip, kSnappy, kLz4, kZstd };
enum class ObjectsType : std::uint8_t { kFiles, kS3, kGcs, kHdfs };
enum class S3Addressing : std::uint8_t { kAuto, kPath, kVirtual };
enum class ObjectsCredentials : std::uint8_t { kAuto, kAnonymous };
enum class S3Checksum : std::uint8_t { kNone, kSha256, kCrc64Nvme };
enum class StatisticsType : std::uint8_t { kDuckdb, kPostgres };

// How a client of ours checks who answers, and shows who it is itself.
struct ClientTlsConfig {
  std::string ca;           // path of a PEM file; empty: the system's authorities
  std::string certificate;  // path of a PEM chain, or empty
  std::string key;          // path of its PEM private key
  Secret key_password;
};
struct SaslConfig {
  SaslMechanism mechanism = SaslMechanism::kScramSha512;
  std::string user;
  Secret password;
};
// A schema registry that speaks Confluent's API.
struct RegistryConfig {
  std::string url;  // with its base path
  std::string user;
  Secret password;
  std::string ca;  // path of a PEM file; empty: the system's authorities
  std::chrono::milliseconds timeout{0};
};
struct BusConfig {
  BusType type = BusType::kLog;
  bus::Durability durability = bus::Durability::kFsync;
  std::chrono::milliseconds interval{0};
  std::uint64_t segment_bytes = 0;
  bus::WhenFull when_full = bus::WhenFull::kRefuse;
  // Of `type: kafka`.
  std::vector<std::string> brokers;  // host:port
  std::string prefix;                // before our topics, groups and transactional ids
  std::optional<ClientTlsConfig> tls;
  std::optional<SaslConfig> sasl;
  std::string client_id;
  KafkaCompression compression = KafkaCompression::kLz4;
  std::chrono::milliseconds linger{0};
  std::uint64_t message_max = 0;
  std::int32_t replication = 0;
  std::int32_t min_insync = 0;
  std::chrono::milliseconds request_timeout{0};
  std::chrono::milliseconds delivery_timeout{0};
  std::optional<RegistryConfig> registry;
};
// What does not belong to the type is empty, or at its default.
struct ObjectsConfig {
  ObjectsType type = ObjectsType::kFiles;
  std::string bucket;
  std::string prefix;
  std::string endpoint;
  std::string region;
  S3Addressing addressing = S3Addressing::kAuto;
  ObjectsCredentials credentials = ObjectsCredentials::kAuto;
  Secret access_key;
  Secret secret_key;
  Secret session_token;
  S3Checksum checksum = S3Checksum::kNone;
  Secret service_account;  // the JSON of a key
  std::string url;         // hdfs://host:port/base
  std::string user;
  std::string hadoop_conf;
  std::string principal;
  std::string keytab;
  std::string tls_ca;  // path of PEM certificates
  std::chrono::milliseconds connect_timeout{0};
  std::chrono::milliseconds request_timeout{0};
  std::int64_t retries_max = 0;
  std::chrono::milliseconds retry_time_max{0};
};
// How the certificate of a Postgres server is looked at: libpq's sslmode.
enum class PostgresTlsMode : std::uint8_t { kDisable, kPrefer, kRequire, kVerifyCa, kVerifyFull };
std::string_view PostgresTlsModeName(PostgresTlsMode mode);  // "verify-full"
struct PostgresTlsConfig {
  std::optional<PostgresTlsMode> mode;  // none: what the URL says, else verify-full, and prefer for an address of this machine
  std::string ca;
  std::string certificate;
  std::string key;
};
struct StatisticsConfig {
  StatisticsType type = StatisticsType::kDuckdb;
  std::uint64_t memory_max = 0;  // bytes
  // For Postgres.
  Secret url;
  PostgresTlsConfig tls;
  std::string schema;
  std::string reader;  // a role; "none"
  std::int64_t connections_max = 0;
  std::chrono::milliseconds connect_timeout{0};
  std::chrono::milliseconds statement_timeout{0};
};
// A Flink cluster that pipelines with `engine: flink` run on.
struct FlinkConfig {
  std::string gateway;   // URL of the SQL gateway
  std::string rest;      // URL of the job manager
  Secret token;
  std::string ca;        // path of a PEM file; empty: the system's authorities
  std::chrono::milliseconds timeout{0};
  std::chrono::milliseconds checkpoint_interval{0};
  std::vector<std::string> brokers;  // as the cluster reaches them; empty: those of the bus
  std::string files;     // URL of a folder that the cluster reaches
  std::string savepoints;  // the same; empty: where the cluster puts them
  std::vector<std::string> sinks;  // besides the results that come home: "upsert_kafka", "files", "jdbc"
  std::string jdbc;      // jdbc:… URL
  std::string jdbc_user;
  Secret jdbc_password;
};
struct DriversConfig {
  BusConfig bus;
  ObjectsConfig objects;
  StatisticsConfig statistics;
  std::optional<FlinkConfig> flink;
};

}  // namespace sightline::config
