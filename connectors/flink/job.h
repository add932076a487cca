#pragma once

#include <chrono>
#include <cstdint>
#include <expected>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "sightline/flow/plan.h"

namespace sightline::flink {

// Pipelines as one Flink job: the statements, in order. docs/flink.md says which rules they keep and where Flink differs.

// A value that stands in the text as ${NAME} and is put in when the job is submitted.
using Secrets = std::map<std::string, std::string>;

struct KafkaAccess {
  std::vector<std::string> brokers;  // as the cluster reaches them
  std::string prefix;                // before every topic of ours
  std::vector<std::pair<std::string, std::string>> properties;  // of the Kafka client: "security.protocol", …
};

// Where the cluster finds a reference table.
struct ReferenceSource {
  enum class Kind : std::uint8_t {
    kFile,   // JSON, a row a line: read once, when the job starts
    kTopic,  // a topic with the rows by their key: read once, when the job starts
    kJdbc,   // looked up in a database
  };
  Kind kind = Kind::kFile;
  std::string location;  // URL of the file, name of the topic in full, or jdbc:… URL
  std::string table;     // kJdbc
  std::string user, password;  // kJdbc: may be ${NAME}
};

// Besides the topic from which the results come home.
struct ExtraSinks {
  bool upsert_kafka = false;  // rows by key in `PREFIX` flink.PIPELINE.rows
  std::string files;          // URL of a folder for Parquet, or empty
  std::string jdbc;           // jdbc:… URL of a database with a table for each pipeline, or empty
  std::string jdbc_user, jdbc_password;  // may be ${NAME}
};

struct JobSettings {
  KafkaAccess kafka;
  std::map<std::string, ReferenceSource> references;  // by name
  ExtraSinks sinks;
  std::chrono::milliseconds checkpoint_interval{1000};
  std::string startup = "earliest-offset";  // scan.startup.mode of the source
  bool bounded = false;    // reads to where the topics end now, and closes all windows
  bool results_home = true;
  // Rises when a job begins anew without the state of the one before it: its results take the place of earlier ones.
  std::uint32_t run = 0;
};

struct Statement {
  enum class Kind : std::uint8_t { kSetting, kTable, kView, kInsert };
  Kind kind = Kind::kView;
  std::string name;     // of the setting, table or view; of an INSERT: its sink
  std::string comment;  // a line, or empty
  std::string sql;      // without the semicolon
};

struct Job {
  std::string name;
  std::vector<std::string> pipelines;  // whose results it makes
  std::vector<std::string> head;       // what the reader has to know, a paragraph each
  std::vector<Statement> statements;
  std::int32_t parallelism = 1;        // slots that it takes
};

// The job that makes the results of the named pipelines, with all that they read from; one root pipeline is at the bottom of all of them.
// Else everything that cannot be mapped, each with the reason and what to write instead.
std::expected<Job, std::vector<std::string>> CompileJob(const flow::Plan& plan, const std::vector<std::string>& pipelines,
                                                        const JobSettings& settings);

// As people read it, and as Flink's SQL client takes it from a file.
std::string JobText(const Job& job);

// Names of topics between a job and us, without the prefix.
inline std::string RowsTopic(const std::string& pipeline) { return "flink." + pipeline; }
inline std::string LateTopic(const std::string& pipeline) { return "flink." + pipeline + ".late"; }
inline std::string UpsertTopic(const std::string& pipeline) { return "flink." + pipeline + ".rows"; }
inline std::string ReferenceTopic(const std::string& reference) { return "reference." + reference; }

}  // namespace sightline::flink
