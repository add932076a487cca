#include "tests/equality/flink_run.h"

#include <algorithm>
#include <thread>

#include "apps/sightline/flink.h"
#include "apps/sightline/plan_input.h"
#include "connectors/flink/home_task.h"
#include "sightline/flow/task.h"
#include "sightline/gate/record_judge.h"
#include "tests/kafka/kafka_ground.h"

namespace sightline::equality {
namespace {

using scenario::InputLine;
using scenario::Outcome;
using scenario::Prepared;
using scenario::Scenario;

constexpr std::chrono::minutes kPatience{2};
constexpr std::chrono::milliseconds kLook{20};
constexpr std::chrono::milliseconds kCheckpoint{200};

void Sleep(std::chrono::milliseconds time) { std::this_thread::sleep_for(time); }

// Waits until a bounded job has come to its end.
Status AwaitEnd(flink::Cluster& cluster, const std::string& id) {
  for (std::chrono::milliseconds waited{0};; waited += kLook) {
    SL_ASSIGN_OR_RETURN(const flink::JobOverview job, cluster.Find(id));
    if (job.state == "FINISHED") return {};
    if (job.over() || waited > kPatience) {
      const Result<flink::JobHealth> health = cluster.Examine(id);
      return Fail(ErrorKind::kInternal,
                  "the job is " + job.state + (health && !health->failures.empty() ? ": " + health->failures[0].what : ""));
    }
    Sleep(kLook);
  }
}

class FlinkRun {
 public:
  FlinkRun(const Scenario& scenario, Prepared& prepared, const FlinkCluster& cluster, Gate gate, const Change& change)
      : scenario_(scenario),
        prepared_(prepared),
        config_(*prepared.loaded.config),
        plan_(*prepared.plan),
        urls_(cluster),
        gate_(gate),
        change_(change),
        ground_(scenario::MakeKafkaGround(scenario::Store::kNone)) {}

  Result<Outcome> Run(std::map<std::string, std::string>& texts) {
    SL_TRY(ground_->Open());
    const kafka::KafkaBusOptions& options = ground_->kafka().options();
    config_.drivers.bus.type = config::BusType::kKafka;
    config_.drivers.bus.brokers = options.client.brokers;
    config_.drivers.bus.prefix = options.prefix;
    config_.drivers.flink = config::FlinkConfig();
    config_.drivers.flink->checkpoint_interval = kCheckpoint;
    SL_ASSIGN_OR_RETURN(cluster_, flink::Cluster::Open({.url = urls_.rest, .token = "", .ca = ""}, Sleep));
    for (const config::DatasetConfig& dataset : config_.datasets) SL_TRY(ground_->bus().EnsureTopic(config_.TopicOf(dataset)));
    bus::TopicSpec owned;
    SL_TRY(flow::EnsureOwnedTopics(ground_->bus(), plan_, owned));
    std::vector<app::FlinkSubmission> submissions;
    for (std::size_t i = 0; i < plan_.pipelines.size(); ++i) {
      if (plan_.pipelines[i].parent >= 0) continue;
      SL_ASSIGN_OR_RETURN(app::FlinkSubmission submission, Submission(static_cast<int>(i)));
      texts[submission.root] = flink::JobText(submission.job);
      submissions.push_back(std::move(submission));
    }
    SL_TRY(Feed());
    for (const app::FlinkSubmission& submission : submissions) SL_TRY(Submit(submission));
    return BringHome();
  }

 private:
  Result<app::FlinkSubmission> Submission(int root) {
    std::vector<std::string> names;
    for (std::size_t i = 0; i < plan_.pipelines.size(); ++i) {
      int at = static_cast<int>(i);
      while (plan_.pipelines[static_cast<std::size_t>(at)].parent >= 0) at = plan_.pipelines[static_cast<std::size_t>(at)].parent;
      if (at == root) names.push_back(plan_.pipelines[i].name);
    }
    runtime::Failpoints failpoints;
    const runtime::Runtime runtime{clock_, prepared_.files, failpoints};
    app::Objects objects(config_, runtime, stores::FileObjectStore::Access::kRead);
    SL_ASSIGN_OR_RETURN(app::FlinkSubmission submission,
                        app::PrepareFlinkJob(config_, plan_, names, runtime, objects, {.run = 0, .bounded = true}));
    if (change_) change_(submission.job);
    return submission;
  }

  // What the gate lets through, in order, with the append time it had.
  Status Feed() {
    for (const InputLine& line : scenario_.input) {
      if (line.kind != InputLine::Kind::kRecord) continue;
      const config::DatasetConfig* dataset = line.dataset.empty() ? &config_.datasets.front() : config_.FindDataset(line.dataset);
      SL_ASSIGN_OR_RETURN(gate::RecordJudge judge, gate::RecordJudge::Make({.contract = &dataset->contract,
                                                                            .format = gate::ValueFormat::kJson,
                                                                            .limits = {},
                                                                            .partition_by = dataset->partition_by,
                                                                            .partitions = dataset->partitions,
                                                                            .schemas = nullptr}));
      const std::string_view values[] = {line.bytes};
      SL_TRY(judge.Judge(values));
      if (gate_ == Gate::kJudged && judge.accepted().empty()) continue;
      const std::string_view accepted[] = {gate_ == Gate::kJudged ? judge.accepted()[0].value : std::string_view(line.bytes)};
      SL_TRY(ground_->Append({dataset->topic, Partition(line.partition)}, {.values = accepted}, line.append_time));
    }
    return {};
  }

  Status Submit(const app::FlinkSubmission& submission) {
    SL_TRY(app::MakeFlinkTopics(ground_->bus(), config_, plan_, submission));
    flink::Gateway::Options options;
    options.http.url = urls_.gateway;
    options.sleep = Sleep;
    SL_ASSIGN_OR_RETURN(const std::unique_ptr<flink::Gateway> gateway, flink::Gateway::Open(std::move(options)));
    SL_ASSIGN_OR_RETURN(const std::string id, gateway->Submit(submission.job, submission.secrets, {}));
    return AwaitEnd(*cluster_, id);
  }

  Result<Outcome> BringHome() {
    flow::ReferenceCatalog catalog;
    const flow::TaskContext context{.runtime = ground_->runtime(),
                                    .bus = ground_->bus(),
                                    .plan = plan_,
                                    .references = catalog,
                                    .versions = {},
                                    .directory = "/data/flow",
                                    .policy = {},
                                    .limits = {},
                                    .commits = ground_->commits()};
    Outcome outcome;
    for (std::size_t i = 0; i < plan_.pipelines.size(); ++i) {
      for (Partition p(0); p.value < flow::PartitionsOf(plan_, static_cast<int>(i)); ++p.value) {
        SL_ASSIGN_OR_RETURN(const std::unique_ptr<flow::Task> home, flink::OpenHomeTask(context, static_cast<int>(i), p));
        for (bool more = true; more;) {
          SL_ASSIGN_OR_RETURN(more, home->Step());
        }
        SL_TRY(home->Finish());
      }
      SL_TRY(scenario::ReadPipeline(ground_->bus(), plan_, static_cast<int>(i), outcome));
    }
    return outcome;
  }

  const Scenario& scenario_;
  Prepared& prepared_;
  config::Config& config_;
  const flow::Plan& plan_;
  const FlinkCluster& urls_;
  Gate gate_;
  const Change& change_;
  runtime::SystemClock clock_;
  std::unique_ptr<scenario::KafkaScenarioGround> ground_;
  std::unique_ptr<flink::Cluster> cluster_;
};

}  // namespace

Result<Outcome> RunOnFlink(const Scenario& scenario, const FlinkCluster& cluster, Gate gate, const Change& change,
                           std::map<std::string, std::string>& texts) {
  const std::unique_ptr<Prepared> prepared = scenario::Prepare(scenario);
  if (prepared->plan == nullptr) return Fail(ErrorKind::kInvalidArgument, prepared->mistakes);
  return FlinkRun(scenario, *prepared, cluster, gate, change).Run(texts);
}

}  // namespace sightline::equality
