#include "sightline/flow/engine.h"

#include <algorithm>

namespace sightline::flow {
namespace {

constexpr auto kIdleWait = std::chrono::milliseconds(20);
constexpr auto kTickWait = std::chrono::milliseconds(200);
constexpr std::int64_t kBackoffFirstNs = 200'000'000;
constexpr std::int64_t kBackoffMaxNs = 10'000'000'000;

}  // namespace

IdleTicker::IdleTicker(bus::Bus& bus, const runtime::Clock& clock, const Plan& plan) : bus_(bus), clock_(clock) {
  for (const DatasetPlan& dataset : plan.datasets) {
    if (dataset.watermark.idle_after.count() == 0) continue;
    for (std::int32_t p = 0; p < dataset.partitions; ++p) {
      watched_.push_back({{dataset.topic, Partition(p)}, dataset.watermark.idle_after.count(), -1, clock.MonotonicNs()});
    }
  }
}

Status IdleTicker::Step() {
  const std::int64_t now = clock_.MonotonicNs();
  std::map<std::string, bus::TopicInfo> topics;
  for (Watched& watched : watched_) {
    const std::string& topic = watched.partition.topic;
    if (!topics.contains(topic)) {
      SL_ASSIGN_OR_RETURN(topics[topic], bus_.Describe(topic));
    }
    const std::int64_t end = topics[topic].partitions[static_cast<std::size_t>(watched.partition.partition.value)].end.value;
    if (end != watched.end) {
      watched.end = end;
      watched.since_ns = now;
      continue;
    }
    if (now - watched.since_ns < watched.idle_after_ms * 1'000'000) continue;
    watched.since_ns = now;
    const std::string_view nothing[] = {""};
    bus::AppendBatch tick;
    tick.type = bus::BatchType::kTick;
    tick.encoding = bus::Encoding::kBinary;
    tick.values = nothing;
    // A full or failing log is reported by those who append records; the next look tries again.
    bus_.Append(watched.partition, tick, [](const Result<bus::Appended>&) {});
    watched.end = end + 1;
  }
  return {};
}

Engine::Engine(const TaskContext& context, Options options) : context_(context), options_(std::move(options)) {}

Result<std::unique_ptr<Engine>> Engine::Start(const TaskContext& context, Options options) {
  std::unique_ptr<Engine> engine(new Engine(context, std::move(options)));
  const int threads = std::max(1, engine->options_.threads);
  for (int i = 0; i < threads; ++i) engine->workers_.push_back(std::make_unique<Worker>());
  std::size_t next = 0;
  const Plan& plan = context.plan;
  for (std::size_t i = 0; i < plan.pipelines.size(); ++i) {
    const bool elsewhere = plan.pipelines[i].engine != PipelineEngine::kFlow;
    if (plan.pipelines[i].root != static_cast<int>(i) && !elsewhere) continue;
    const bool merge = plan.pipelines[i].kind == PipelineKind::kMerge && !elsewhere;
    for (std::int32_t p = 0; p < PartitionsOf(plan, static_cast<int>(i)); ++p) {
      auto slot = std::make_unique<Slot>();
      slot->root = plan.pipelines[i].root;
      slot->pipeline = static_cast<int>(i);
      slot->partition = Partition(p);
      slot->merge = merge;
      slot->here = engine->options_.all;
      engine->workers_[next++ % engine->workers_.size()]->slots.push_back(std::move(slot));
    }
  }
  if (engine->options_.all) {
    SL_TRY(engine->OpenRoots());
    SL_TRY(engine->OpenMerges());
  }
  for (const std::unique_ptr<Worker>& worker : engine->workers_) {
    worker->thread = std::thread([self = engine.get(), w = worker.get()] { self->Run(*w); });
  }
  engine->housekeeping_ = std::thread([self = engine.get()] { self->RunHousekeeping(); });
  return engine;
}

Engine::~Engine() { (void)Stop(); }

// Each worker opens its own tasks, all workers at the same time: recovery is as parallel as the work.
Status Engine::OpenRoots() {
  std::vector<Status> opened(workers_.size());
  std::vector<std::thread> openers;
  for (std::size_t w = 0; w < workers_.size(); ++w) {
    openers.emplace_back([this, w, &opened] {
      for (const std::unique_ptr<Slot>& slot : workers_[w]->slots) {
        if (!slot->merge && opened[w]) opened[w] = OpenSlot(*workers_[w], *slot);
      }
    });
  }
  for (std::thread& opener : openers) opener.join();
  for (Status& status : opened) SL_TRY(std::move(status));
  return {};
}

// After their sources, which stand before them in the plan: until a source has recovered, readers of its results see less than it
// committed, and a merge has read as far as that.
Status Engine::OpenMerges() {
  std::vector<std::pair<Worker*, Slot*>> merges;
  for (const std::unique_ptr<Worker>& worker : workers_) {
    for (const std::unique_ptr<Slot>& slot : worker->slots) {
      if (slot->merge) merges.emplace_back(worker.get(), slot.get());
    }
  }
  std::ranges::sort(merges, {}, [](const auto& merge) { return merge.second->root; });
  for (const auto& [worker, slot] : merges) SL_TRY(OpenSlot(*worker, *slot));
  return {};
}

Status Engine::OpenSlot(Worker& worker, Slot& slot) {
  const bool elsewhere = context_.plan.pipelines[static_cast<std::size_t>(slot.pipeline)].engine != PipelineEngine::kFlow;
  if (elsewhere && !options_.open_home) return Fail(ErrorKind::kFailedPrecondition, "nobody here brings results home from another engine");
  Result<std::unique_ptr<Task>> task = elsewhere    ? options_.open_home(context_, slot.pipeline, slot.partition)
                                       : slot.merge ? OpenMergeTask(context_, slot.root)
                                                    : OpenRootTask(context_, slot.root, slot.partition);
  if (!task) return std::unexpected(std::move(task.error()));
  slot.subscriptions.clear();
  for (const TopicPartition& input : (*task)->inputs()) {
    SL_ASSIGN_OR_RETURN(std::shared_ptr<void> subscription, context_.bus.Subscribe(input, [&worker] { Wake(worker); }));
    slot.subscriptions.push_back(std::move(subscription));
  }
  const std::lock_guard lock(worker.mutex);
  slot.task = std::move(*task);
  slot.error.clear();
  return {};
}

void Engine::Wake(Worker& worker) {
  const std::lock_guard lock(worker.wake_mutex);
  worker.woken = true;
  worker.wake.notify_one();
}

std::vector<std::pair<Engine::Worker*, Engine::Slot*>> Engine::Find(int root, Partition partition) const {
  std::vector<std::pair<Worker*, Slot*>> found;
  for (const std::unique_ptr<Worker>& worker : workers_) {
    for (const std::unique_ptr<Slot>& slot : worker->slots) {
      if (slot->root == root && slot->partition == partition) found.emplace_back(worker.get(), slot.get());
    }
  }
  return found;
}

void Engine::Acquire(int root, Partition partition) {
  for (const auto& [worker, slot] : Find(root, partition)) {
    slot->here = true;
    Wake(*worker);
  }
}

void Engine::GiveUp(int root, Partition partition, Release how) {
  for (const auto& [worker, slot] : Find(root, partition)) {
    std::unique_lock lock(worker->mutex);
    slot->release = how;
    slot->here = false;
    Wake(*worker);
    worker->closed.wait(lock, [&, s = slot] { return (s->task == nullptr && !s->opening) || stopping_.load(std::memory_order_acquire); });
  }
}

// What it had not committed is done again by whoever works on the partition next.
void Engine::CloseSlot(Worker& worker, Slot& slot) {
  slot.subscriptions.clear();
  if (slot.task && slot.release == Release::kCommit) {
    if (const Status finished = slot.task->Finish(); !finished && options_.on_error) {
      options_.on_error(context_.plan.pipelines[static_cast<std::size_t>(slot.pipeline)].name, slot.partition.value, finished.error());
    }
  }
  slot.retry_at_ns = slot.backoff_ns = 0;
  const std::lock_guard lock(worker.mutex);
  slot.task.reset();
  slot.error.clear();
  worker.closed.notify_all();
}

void Engine::FailSlot(Worker& worker, Slot& slot, const Error& error) {
  if (options_.on_error) {
    options_.on_error(context_.plan.pipelines[static_cast<std::size_t>(slot.pipeline)].name, slot.partition.value, error);
  }
  slot.subscriptions.clear();
  slot.backoff_ns = std::clamp(slot.backoff_ns * 2, kBackoffFirstNs, kBackoffMaxNs);
  slot.retry_at_ns = context_.runtime.clock.MonotonicNs() + slot.backoff_ns;
  const std::lock_guard lock(worker.mutex);
  slot.task.reset();
  slot.error = error.ToString();
}

bool Engine::StepSlot(Worker& worker, Slot& slot) {
  if (!slot.here) {
    if (slot.task || !slot.error.empty()) CloseSlot(worker, slot);
    return false;
  }
  if (!slot.task) {
    if (context_.runtime.clock.MonotonicNs() < slot.retry_at_ns) return false;
    {
      // From here on GiveUp waits: a task opened after it returned would take the partition from whoever has it then.
      const std::lock_guard lock(worker.mutex);
      if (!slot.here) return false;
      slot.opening = true;
    }
    const Status opened = OpenSlot(worker, slot);
    {
      const std::lock_guard lock(worker.mutex);
      slot.opening = false;
      worker.closed.notify_all();
    }
    if (!opened) {
      FailSlot(worker, slot, opened.error());
      return false;
    }
  }
  const Result<bool> more = slot.task->Step();
  if (!more) {
    FailSlot(worker, slot, more.error());
    return false;
  }
  // A task that comes as far as the same failure each time must not start over at once each time.
  if (slot.backoff_ns != 0 && context_.runtime.clock.MonotonicNs() - slot.retry_at_ns > kBackoffMaxNs) slot.backoff_ns = 0;
  return *more;
}

void Engine::Run(Worker& worker) {
  while (!stopping_.load(std::memory_order_acquire)) {
    {
      const std::lock_guard lock(worker.wake_mutex);
      worker.woken = false;
    }
    bool more = false;
    for (const std::unique_ptr<Slot>& slot : worker.slots) {
      more = StepSlot(worker, *slot) || more;
      if (stopping_.load(std::memory_order_acquire)) return;
    }
    if (more) continue;
    std::unique_lock lock(worker.wake_mutex);
    worker.wake.wait_for(lock, kIdleWait, [&] { return worker.woken || stopping_.load(std::memory_order_acquire); });
  }
}

void Engine::RunHousekeeping() {
  std::optional<IdleTicker> ticker;
  if (context_.commits == nullptr) ticker.emplace(context_.bus, context_.runtime.clock, context_.plan);
  std::int64_t last_tick = 0;
  while (!stopping_.load(std::memory_order_acquire)) {
    const std::int64_t now = context_.runtime.clock.MonotonicNs();
    if (now - last_tick > std::chrono::nanoseconds(kTickWait).count()) {
      last_tick = now;
      const Status ticked = ticker ? ticker->Step() : Status();
      if (!ticked && options_.on_error) options_.on_error("ticks", 0, ticked.error());
    }
    std::unique_lock lock(housekeeping_mutex_);
    housekeeping_wake_.wait_for(lock, kTickWait, [&] { return stopping_.load(std::memory_order_acquire); });
  }
}

Status Engine::Stop() {
  if (stopped_) return {};
  stopped_ = true;
  stopping_.store(true, std::memory_order_release);
  for (const std::unique_ptr<Worker>& worker : workers_) {
    {
      const std::lock_guard lock(worker->wake_mutex);
      worker->wake.notify_all();
    }
    const std::lock_guard lock(worker->mutex);
    worker->closed.notify_all();
  }
  {
    const std::lock_guard lock(housekeeping_mutex_);
    housekeeping_wake_.notify_all();
  }
  for (const std::unique_ptr<Worker>& worker : workers_) {
    if (worker->thread.joinable()) worker->thread.join();
  }
  if (housekeeping_.joinable()) housekeeping_.join();
  Status first;
  for (const std::unique_ptr<Worker>& worker : workers_) {
    for (const std::unique_ptr<Slot>& slot : worker->slots) {
      slot->subscriptions.clear();
      if (!slot->task || (!slot->here && slot->release == Release::kDrop)) continue;
      if (Status finished = slot->task->Finish(); !finished && first) first = std::move(finished);
    }
  }
  return first;
}

std::vector<TaskStatus> Engine::status() const {
  std::vector<TaskStatus> all;
  for (const std::unique_ptr<Worker>& worker : workers_) {
    const std::lock_guard lock(worker->mutex);
    for (const std::unique_ptr<Slot>& slot : worker->slots) {
      if (!slot->here && !slot->task) continue;
      TaskStatus status;
      if (slot->task) status = slot->task->status();
      status.pipeline = context_.plan.pipelines[static_cast<std::size_t>(slot->pipeline)].name;
      status.partition = slot->partition.value;
      status.merge = slot->merge;
      status.error = slot->error;
      all.push_back(std::move(status));
    }
  }
  return all;
}

}  // namespace sightline::flow
