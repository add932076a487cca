#include "tests/kafka/kafka_ground.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <future>
#include <map>
#include <memory>

#include "connectors/kafka/producer.h"
#include "connectors/kafka/record_reader.h"
#include "connectors/kafka/testing/kafka_engine.h"
#include "connectors/kafka/transaction_commits.h"
#include "connectors/postgres/statistics_store.h"
#include "connectors/postgres/testing/server.h"
#include "sightline/runtime/posix_file_system.h"
#include "sightline/runtime/simulated/simulated_file_system.h"
#include "sightline/stores/objects/embedded/file_store.h"
#include "sightline/stores/statistics/results_sink.h"
#include "sightline/tabular/json.h"
#include "tests/kafka/kafka_ground.h"
#include "tests/scenario/scenario_run.h"

namespace sightline::scenario {
namespace {

using kafka::testing::KafkaEngine;
using Rows = std::vector<std::vector<std::string>>;

class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string folder = std::filesystem::temp_directory_path() / "sightline-scenario-XXXXXX";
    EXPECT_NE(mkdtemp(folder.data()), nullptr);
    path_ = folder;
  }
  ~TemporaryDirectory() { std::filesystem::remove_all(path_); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// The newest result of each window and group, without those that were emptied.
Rows NewestOf(const flow::PipelinePlan& pipeline, const Outcome& outcome) {
  const Table& table = outcome.results.at(pipeline.name);
  std::map<std::vector<std::string>, std::pair<std::int64_t, Rows>> newest;
  const auto revision = static_cast<std::size_t>(table.Find("revision"));
  for (const std::vector<std::string>& row : table.rows) {
    std::vector<std::string> key;
    for (const std::string& column : outcome.identity.at(pipeline.name)) key.push_back(row[static_cast<std::size_t>(table.Find(column))]);
    auto& [newest_revision, rows] = newest[key];
    const std::int64_t this_revision = std::stoll(row[revision]);
    if (this_revision != newest_revision) rows.clear();
    newest_revision = this_revision;
    // Partition and reference version are not in the store.
    if (!IsNoRow(row)) rows.emplace_back(row.begin() + 1, row.end() - 1);
  }
  Rows all;
  for (const auto& [key, of] : newest) all.insert(all.end(), of.second.begin(), of.second.end());
  std::ranges::sort(all);
  return all;
}

class KafkaGround final : public KafkaScenarioGround {
 public:
  explicit KafkaGround(Store store)
      : prefix_(KafkaEngine::Get().NewPrefix()),
        database_(store == Store::kNone ? "" : postgres::testing::FreshDatabase(postgres::testing::SharedServer())) {}

  Status Open() override {
    SL_ASSIGN_OR_RETURN(bus_, kafka::KafkaBus::Open(KafkaEngine::Get().Options(prefix_)));
    SL_ASSIGN_OR_RETURN(objects_, stores::FileObjectStore::Open({clock_, real_files_, failpoints_}, directory_.path(),
                                                                stores::FileObjectStore::Access::kOwn));
    SL_ASSIGN_OR_RETURN(producer_, kafka::Producer::Make(bus_->options().client, {}));
    commits_ = std::make_unique<kafka::TransactionCommitLogs>(*bus_, *objects_, failpoints_, kafka::TransactionCommitLogs::Settings());
    return {};
  }
  void PowerCycle() override {
    commits_.reset();
    producer_.reset();
    objects_.reset();
    bus_.reset();
  }
  bus::Bus& bus() override { return *bus_; }
  kafka::KafkaBus& kafka() override { return *bus_; }
  runtime::Runtime runtime() override { return {clock_, files_, failpoints_}; }
  flow::CommitLogs* commits() override { return commits_.get(); }

  // As somebody does who says in a header when a record came.
  Status Append(const TopicPartition& to, const bus::AppendBatch& batch, std::int64_t at) override {
    const std::string time = std::to_string(at);
    const bool tick = batch.type == bus::BatchType::kTick;
    std::vector<kafka::RecordHeader> headers = {{kafka::kAppendTimeHeader, time}};
    if (tick) headers.push_back({kafka::kTypeHeader, "tick"});
    std::vector<kafka::OutRecord> records;
    for (const std::string_view value : batch.values) records.push_back({.value = value, .null_value = tick, .headers = headers});
    std::promise<Result<std::int64_t>> sent;
    producer_->Send(bus_->FullName(to.topic), to.partition, records, std::nullopt,
                    [&](Result<std::int64_t> first) { sent.set_value(first); });
    SL_ASSIGN_OR_RETURN(const std::int64_t first, sent.get_future().get());
    bus_->NoteEnd(to, Offset(first + static_cast<std::int64_t>(records.size())));
    return {};
  }

  // Every pipeline's results go through its sink into Postgres, and are there as they are in the topic.
  Status Examine(const flow::Plan& plan, const Outcome& outcome) override {
    if (database_.empty()) return {};
    postgres::StatisticsOptions options;
    options.connection = postgres::testing::SharedServer().Connection(database_);
    SL_ASSIGN_OR_RETURN(const auto store, postgres::OpenStatisticsStore(runtime(), options));
    for (const flow::PipelinePlan& pipeline : plan.pipelines) {
      stores::ResultsSink sink(*bus_, *store, runtime(), pipeline.shape, pipeline.fingerprint,
                               {.topic = flow::Plan::ResultsTopic(pipeline.name), .gather_max = std::chrono::milliseconds(0)});
      (void)sink.Step();
      sink.Finish();
      if (const auto error = sink.metrics().error) return Fail(ErrorKind::kInternal, pipeline.name + ": " + *error);
      SL_ASSIGN_OR_RETURN(const Rows rows, Stored(*store, pipeline));
      if (const Rows expected = NewestOf(pipeline, outcome); rows != expected) {
        return Fail(ErrorKind::kInternal,
                    pipeline.name + " in Postgres is not what is in its topic:\n" + Text(rows) + "but:\n" + Text(expected));
      }
    }
    return {};
  }

 private:
  static std::string Text(const Rows& rows) {
    std::string text;
    for (const std::vector<std::string>& row : rows) {
      for (const std::string& cell : row) text += cell + " | ";
      text += "\n";
    }
    return text;
  }

  static Result<Rows> Stored(stores::StatisticsStore& store, const flow::PipelinePlan& pipeline) {
    SL_ASSIGN_OR_RETURN(const auto stream, store.Select({.pipeline = pipeline.name}));
    Rows rows;
    ColumnBatch batch;
    for (;;) {
      SL_ASSIGN_OR_RETURN(const bool more, stream->Next(batch));
      if (!more) break;
      for (std::size_t r = 0; r < batch.rows; ++r) {
        std::vector<std::string>& row = rows.emplace_back();
        for (std::size_t c = 0; c < batch.columns.size(); ++c) {
          Field field = stream->schema().fields[c];
          field.identifier = false;
          tabular::AppendJsonValue(field, batch.columns[c], r, row.emplace_back());
          // Scenarios write the state without quotes.
          if (field.name == "state") row.back() = row.back().substr(1, row.back().size() - 2);
        }
      }
    }
    std::ranges::sort(rows);
    return rows;
  }

  const std::string prefix_;
  const std::string database_;
  TemporaryDirectory directory_;
  runtime::SystemClock clock_;
  runtime::PosixFileSystem real_files_;
  runtime::SimulatedFileSystem files_{7};  // what is kept there outlives the processes
  runtime::Failpoints failpoints_;
  std::unique_ptr<kafka::KafkaBus> bus_;
  std::unique_ptr<stores::ObjectStore> objects_;
  std::unique_ptr<kafka::Producer> producer_;
  std::unique_ptr<kafka::TransactionCommitLogs> commits_;
};

}  // namespace

std::unique_ptr<KafkaScenarioGround> MakeKafkaGround(Store store) { return std::make_unique<KafkaGround>(store); }

}  // namespace sightline::scenario
