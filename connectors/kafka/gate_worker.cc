#include "connectors/kafka/gate_worker.h"

#include <algorithm>

#include "connectors/kafka/gate_session_internal.h"
#include "sightline/base/glob.h"

namespace sightline::kafka {
namespace {

// How soon the group is served again while nothing comes.
constexpr std::chrono::milliseconds kIdle{50};

bool MayMend(const Error& error) {
  return error.kind == ErrorKind::kUnavailable || error.kind == ErrorKind::kDeadlineExceeded || error.kind == ErrorKind::kResourceExhausted;
}

}  // namespace

GateWorker::GateWorker(std::unique_ptr<GateShared> shared) : shared_(std::move(shared)) {}

GateWorker::~GateWorker() { Stop(); }

Result<std::unique_ptr<GateWorker>> GateWorker::Start(KafkaBus& bus, const runtime::Clock& clock, GateDataset dataset, GateOptions options,
                                                      const ops::Log& log) {
  SL_TRY(bus.EnsureTopic(dataset.dead_letters));
  auto shared = std::make_unique<GateShared>(bus, clock, std::move(dataset), std::move(options), log);
  GateShared& its = *shared;
  gate::RecordJudge::Settings judge = its.dataset.judge;
  if (judge.schemas != nullptr) judge.schemas = &its.registry;
  auto made = gate::RecordJudge::Make(judge);
  if (!made) return std::unexpected(std::move(made).error().In("dataset " + its.dataset.name));
  its.judge.emplace(std::move(*made));
  its.status.dataset = its.dataset.name;
  its.status.from = its.dataset.from;
  std::unique_ptr<GateWorker> worker(new GateWorker(std::move(shared)));
  SL_TRY(worker->AdmitTopics());
  worker->thread_ = std::thread([raw = worker.get()] { raw->Run(); });
  return worker;
}

// A schema that contradicts the contract ends the start. Later, with topics that are new by then, it holds up their records alone.
Status GateWorker::AdmitTopics() {
  const std::string& from = shared_->dataset.from;
  SL_ASSIGN_OR_RETURN(const ClusterInfo cluster, shared_->bus.admin().Cluster());
  std::vector<std::string> topics;
  for (const auto& [topic, partitions] : cluster.topics) {
    if (MatchesGlob(from, topic)) topics.push_back(topic);
  }
  if (topics.empty())
    shared_->log.Info("no topic of others is there yet; it is looked for", {{"dataset", shared_->dataset.name}, {"from", from}});
  // Its producers find the schema before they make the topic.
  if (topics.empty() && from.find('*') == std::string::npos) topics.push_back(from);
  for (const std::string& topic : topics) {
    const Status may = shared_->registry.MayJudge(topic);
    if (!may && !MayMend(may.error())) return std::unexpected(Error(may.error()).In("dataset " + shared_->dataset.name));
  }
  return {};
}

void GateWorker::Run() {
  std::string said;
  while (!shared_->stopping) {
    const Status ended = Serve();
    if (ended || shared_->stopping) break;
    const std::string why = ended.error().ToString();
    // One that has trouble with the same again and again says it once.
    if (why != said) shared_->log.Warning("a gate begins anew", {{"dataset", shared_->dataset.name}, {"error", why}});
    said = why;
    {
      const std::lock_guard lock(shared_->status_mutex);
      shared_->status.error = ended.error().message;
      shared_->status.partitions = 0;
    }
    const auto until = std::chrono::steady_clock::now() + shared_->options.retry_wait;
    while (!shared_->stopping && std::chrono::steady_clock::now() < until) shared_->Wait(kIdle);
  }
}

Status GateWorker::Serve() {
  SL_ASSIGN_OR_RETURN(const std::unique_ptr<GateSession> session, GateSession::Open(*shared_));
  while (!shared_->stopping) {
    SL_ASSIGN_OR_RETURN(const bool moved, session->Step());
    if (!moved) shared_->Wait(kIdle);
  }
  return {};
}

void GateWorker::Stop() {
  shared_->stopping = true;
  shared_->Wake();
  if (thread_.joinable()) thread_.join();
}

GateStatus GateWorker::status() const {
  const std::lock_guard lock(shared_->status_mutex);
  return shared_->status;
}

}  // namespace sightline::kafka
