#include "connectors/kafka/claims.h"

#include <algorithm>

#include "connectors/kafka/record_reader.h"
#include "sightline/runtime/random.h"

namespace sightline::kafka {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;

constexpr std::int32_t kPartitions = 8;
constexpr milliseconds kTransaction{10'000};
// From a claim on, so long a transaction may still be begun: it ends, one way or the other, before the lease does.
constexpr milliseconds kBeginWithin{50'000};
constexpr milliseconds kReadBackWithin{10'000};
// How long an append waits for another process that has the claim.
constexpr milliseconds kWaitForOther{8'000};
constexpr milliseconds kIdle{50};
// Our clock may be ahead of the log's: a claim that came too soon is not sent again at once.
constexpr milliseconds kClaimAgainAfter{1'000};
constexpr milliseconds kOpenWithin{30'000};
constexpr std::size_t kForgetAbove = 100'000;
constexpr std::size_t kAdoptAtOnce = 10'000;
constexpr std::uint64_t kBatchBytes = 64 << 10;  // small: topics differ in what they take

AppendTime WallNow() {
  return AppendTime(std::chrono::duration_cast<milliseconds>(std::chrono::system_clock::now().time_since_epoch()).count());
}

}  // namespace

struct ClaimsLog::Job {
  bus::IdempotencyTag tag;
  std::string key;
  std::size_t source = 0;
  Place place;
  std::vector<OutRecord> records;
  Done done;
  ClaimsView::ClaimId id;
  steady_clock::time_point arrived;
  steady_clock::time_point claim_sent;
  std::int64_t claim_offset = -1;  // where the claim lies; -1: not known yet
  bool claiming = false;
  bool lost = false;  // a claim of it came after another's
  std::optional<Error> claim_failed;
  TransactionalProducer::Trace trace;
};

// Callers are answered without our lock: they may come back at once.
struct ClaimsLog::Answered {
  std::unique_ptr<Job> job;
  Result<bus::Appended> answer;
};

// One partition of the log of claims, and what was read of it.
struct ClaimsLog::Source {
  TopicPartition name;
  std::unique_ptr<ConsumerPool::Partition> reading;
  // With ClaimsLog::mutex_:
  ClaimsView view;
  Offset position;
  AppendTime newest;
  std::optional<Error> failed;
};

ClaimsLog::ClaimsLog(ClientOptions client, std::string topic, std::string transactional_id)
    : client_(std::move(client)), topic_(std::move(topic)), transactional_id_(std::move(transactional_id)) {}

Result<std::unique_ptr<ClaimsLog>> ClaimsLog::Open(const ClientOptions& client, Admin& admin, ConsumerPool& consumers,
                                                   const std::string& prefix, const TopicPolicy& policy) {
  const std::string mine = std::to_string(runtime::SystemEntropy()) + std::to_string(runtime::SystemEntropy());
  std::unique_ptr<ClaimsLog> log(new ClaimsLog(client, prefix + std::string(kClaimsTopic), prefix + "ingest." + mine));
  SL_TRY(log->Prepare(admin, consumers, policy));
  log->reader_ = std::thread([raw = log.get()] { raw->ReadOn(); });
  log->worker_ = std::thread([raw = log.get()] { raw->Work(); });
  return log;
}

ClaimsLog::~ClaimsLog() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    woken_ = true;
  }
  changed_.notify_all();
  if (worker_.joinable()) worker_.join();
  if (reader_.joinable()) reader_.join();
  sources_.clear();
}

Status ClaimsLog::Prepare(Admin& admin, ConsumerPool& consumers, const TopicPolicy& policy) {
  SL_ASSIGN_OR_RETURN(ClusterInfo cluster, admin.Cluster(topic_));
  if (!cluster.topics.contains(topic_)) {
    NewTopic topic;
    topic.name = topic_;
    topic.partitions = kPartitions;
    topic.replication = policy.replication;
    topic.configs = {{"cleanup.policy", "compact,delete"},
                     {"retention.ms", std::to_string(ClaimsView::kKept.count() + 3'600'000)},
                     {"min.compaction.lag.ms", "3600000"},
                     {"message.timestamp.type", "LogAppendTime"},
                     {"min.insync.replicas", std::to_string(policy.min_insync)},
                     {"unclean.leader.election.enable", "false"}};
    const Status made = admin.CreateTopic(topic);
    if (!made && made.error().kind != ErrorKind::kAlreadyExists) return made;
    const auto until = steady_clock::now() + kOpenWithin;
    const auto led = [&] {
      const auto found = cluster.topics.find(topic_);
      return found != cluster.topics.end() && !found->second.empty() &&
             std::ranges::all_of(found->second, [](const PartitionLeader& partition) { return partition.leader >= 0; });
    };
    while (!led()) {
      if (steady_clock::now() > until)
        return Fail(ErrorKind::kUnavailable, "topic " + topic_ + " was made, but nobody leads its partitions yet");
      std::this_thread::sleep_for(milliseconds(20));
      SL_ASSIGN_OR_RETURN(cluster, admin.Cluster(topic_));
    }
  }
  std::vector<TopicPartition> partitions;
  for (std::size_t p = 0; p < cluster.topics[topic_].size(); ++p) partitions.push_back({topic_, Partition(static_cast<std::int32_t>(p))});
  SL_ASSIGN_OR_RETURN(const std::vector<Offset> starts, admin.Starts(partitions));
  SL_ASSIGN_OR_RETURN(const std::vector<Offset> ends, admin.Ends(partitions, Isolation::kCommitted));
  for (std::size_t p = 0; p < partitions.size(); ++p) {
    auto source = std::make_unique<Source>();
    source->name = partitions[p];
    source->position = starts[p];
    SL_ASSIGN_OR_RETURN(source->reading, consumers.Open(partitions[p], starts[p], [this] {
      const std::lock_guard lock(mutex_);
      woken_ = true;
      changed_.notify_all();
    }));
    sources_.push_back(std::move(source));
  }
  const auto until = steady_clock::now() + kOpenWithin;
  for (std::size_t p = 0; p < partitions.size(); ++p) {
    while (sources_[p]->position < ends[p]) {
      SL_ASSIGN_OR_RETURN(const bool more, ReadOnce(*sources_[p]));
      if (!more && steady_clock::now() > until) return Fail(ErrorKind::kUnavailable, "topic " + topic_ + " cannot be read to its end");
      if (!more) std::this_thread::sleep_for(milliseconds(1));
    }
  }
  ProducerOptions claims;
  SL_ASSIGN_OR_RETURN(claimer_, Producer::Make(client_, claims));
  return Connect();
}

// The transactional producer, anew: the id is this process's own, and what it left open is aborted.
Status ClaimsLog::Connect() {
  transaction_.reset();
  SL_ASSIGN_OR_RETURN(
      transaction_, TransactionalProducer::Make(
                        client_, {.transactional_id = transactional_id_, .transaction_timeout = kTransaction, .batch_bytes = kBatchBytes}));
  if (const auto ready = transaction_->Init(kOpenWithin); !ready) {
    transaction_.reset();
    return std::unexpected(ready.error().error);
  }
  return {};
}

std::size_t ClaimsLog::SourceOf(const std::string& key) const { return HashBytes128(key, 0).low % sources_.size(); }

// True if something was there.
Result<bool> ClaimsLog::ReadOnce(Source& source) {
  SL_ASSIGN_OR_RETURN(const RecordReader::Polled polled, source.reading->records().Poll(milliseconds(0)));
  const std::lock_guard lock(mutex_);
  if (polled.batch) {
    const bus::Batch& batch = *polled.batch;
    for (std::size_t i = 0; i < batch.values.size(); ++i) {
      source.newest = std::max(source.newest, batch.time(i));
      if (batch.keys.empty()) continue;
      SL_TRY(source.view.Apply(batch.keys[i], batch.values[i], batch.time(i)));
    }
    if (source.view.size() > kForgetAbove) source.view.Forget(source.newest);
  }
  source.position = source.reading->records().position();
  return polled.batch.has_value();
}

void ClaimsLog::ReadOn() {
  for (;;) {
    bool more = false;
    for (const auto& source : sources_) {
      const auto read = ReadOnce(*source);
      more = more || (read && *read);
      const std::lock_guard lock(mutex_);
      source->failed = read ? std::nullopt : std::optional(read.error());
    }
    std::unique_lock lock(mutex_);
    if (more) changed_.notify_all();
    if (stopping_) return;
    if (!more) changed_.wait_for(lock, kIdle, [this] { return woken_ || stopping_; });
    woken_ = false;
  }
}

void ClaimsLog::Append(const bus::IdempotencyTag& tag, Place place, std::vector<OutRecord> records, Done done) {
  auto job = std::make_unique<Job>();
  job->tag = tag;
  job->key = ClaimsView::KeyOf(tag);
  job->source = SourceOf(job->key);
  job->place = std::move(place);
  job->records = std::move(records);
  job->done = std::move(done);
  job->arrived = steady_clock::now();
  const std::lock_guard lock(mutex_);
  inbox_.push_back(std::move(job));
  changed_.notify_all();
}

// Answers what the log has an answer for; what is free goes to `to_claim`, the rest stays. With mutex_.
void ClaimsLog::Judge(Jobs& jobs, Jobs& to_claim, std::vector<Answered>& answered) {
  Jobs left;
  const auto now = steady_clock::now();
  for (auto& job : jobs) {
    const Source& source = *sources_[job->source];
    const ClaimsView::Entry* entry = source.view.Find(job->key, std::max(source.newest, WallNow()));
    if (entry != nullptr && entry->done && entry->answer.digest != job->tag.digest) {
      answered.push_back({std::move(job), Fail(ErrorKind::kAlreadyExists,
                                               "the Idempotency-Key came with another request before; use a new one for new content")});
    } else if (entry != nullptr && entry->done) {
      answered.push_back({std::move(job), bus::Appended{.base = entry->answer.base, .count = entry->answer.count, .repeated = true}});
    } else if ((entry != nullptr || job->lost) && now - job->arrived > kWaitForOther) {
      answered.push_back({std::move(job), Fail(ErrorKind::kUnavailable,
                                               "another request with the same Idempotency-Key is under way; send it again later")});
    } else if (entry == nullptr && (!job->lost || now - job->claim_sent > kClaimAgainAfter)) {
      to_claim.push_back(std::move(job));
    } else {
      left.push_back(std::move(job));
    }
  }
  jobs = std::move(left);
}

// Appends a claim for each job and waits until it was read back, so that the log's order is known.
void ClaimsLog::SendClaims(Jobs& jobs) {
  std::vector<std::string> values(jobs.size());
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    Job& job = *jobs[i];
    job.id = {runtime::SystemEntropy(), runtime::SystemEntropy()};
    job.claim_sent = steady_clock::now();
    job.claim_offset = -1;
    job.claim_failed.reset();
    job.claiming = true;
    values[i] = ClaimsView::Claim(job.id);
    const std::vector<OutRecord> one = {{.value = values[i], .null_value = false, .key = job.key, .headers = {}}};
    const Source& source = *sources_[job.source];
    claimer_->Send(source.name.topic, source.name.partition, one, std::nullopt, [this, raw = &job](Result<std::int64_t> offset) {
      const std::lock_guard lock(mutex_);
      raw->claiming = false;
      if (offset) {
        raw->claim_offset = *offset;
      } else {
        raw->claim_failed = offset.error();
      }
      changed_.notify_all();
    });
  }
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return std::ranges::none_of(jobs, [](const auto& job) { return job->claiming; }); });
  changed_.wait_for(lock, kReadBackWithin, [&] {
    return std::ranges::all_of(
        jobs, [&](const auto& job) { return job->claim_failed || sources_[job->source]->position.value > job->claim_offset; });
  });
}

// Appends to the log of claims, and waits until all is acknowledged; the first error.
Status ClaimsLog::Tell(std::span<const Told> records) {
  std::mutex mutex;
  std::condition_variable answered;
  std::size_t left = records.size();
  Status first;
  for (const Told& record : records) {
    const std::vector<OutRecord> one = {{.value = record.value, .null_value = false, .key = record.key, .headers = {}}};
    const TopicPartition& to = sources_[SourceOf(record.key)]->name;
    claimer_->Send(to.topic, to.partition, one, std::nullopt, [&](const Result<std::int64_t>& offset) {
      const std::lock_guard lock(mutex);
      if (!offset && first) first = std::unexpected(offset.error());
      --left;
      answered.notify_all();
    });
  }
  std::unique_lock lock(mutex);
  answered.wait(lock, [&] { return left == 0; });
  return first;
}

// What transactions could not do leaves the claim to others; a claim that is not released ends by itself.
void ClaimsLog::Release(const Jobs& jobs) {
  std::vector<Told> records;
  for (const auto& job : jobs) records.push_back({job->key, ClaimsView::Release(job->id)});
  (void)Tell(records);
}

Status ClaimsLog::Adopt(std::span<const Known> requests) {
  for (std::size_t begin = 0; begin < requests.size(); begin += kAdoptAtOnce) {
    std::vector<Told> records;
    for (const Known& known : requests.subspan(begin, std::min(kAdoptAtOnce, requests.size() - begin))) {
      const ClaimsView::ClaimId id{runtime::SystemEntropy(), runtime::SystemEntropy()};
      records.push_back({ClaimsView::KeyOf(known.tag), ClaimsView::Done(id, known.answer)});
    }
    SL_TRY(Tell(records));
  }
  return {};
}

Status ClaimsLog::Transact(Jobs& owned, Effect& effect) {
  const auto failed = [](TransactionError error) { return std::unexpected(std::move(error.error)); };
  effect = Effect::kNone;
  if (transaction_ == nullptr) SL_TRY(Connect());
  if (auto begun = transaction_->Begin(); !begun) {
    transaction_.reset();
    return failed(std::move(begun).error());
  }
  effect = Effect::kOpen;
  for (const auto& job : owned) {
    for (const OutRecord& record : job->records) {
      for (;;) {
        auto produced = transaction_->Produce(job->place.topic, job->place.partition, record, job->place.compression, &job->trace);
        if (produced) break;
        if (produced.error().fault != Fault::kRetriable) return failed(std::move(produced).error());
        std::this_thread::sleep_for(milliseconds(1));
      }
    }
  }
  if (auto flushed = transaction_->Flush(kTransaction); !flushed) return failed(std::move(flushed).error());
  for (const auto& job : owned) {
    if (!job->trace.first()) {
      if (auto failure = transaction_->last_failure()) return std::unexpected(std::move(*failure));
      return Fail(ErrorKind::kUnavailable, "appending to " + job->place.topic + " was not acknowledged");
    }
    const ClaimsView::Answer answer{*job->trace.first(), static_cast<std::uint32_t>(job->records.size()), job->tag.digest};
    const std::string value = ClaimsView::Done(job->id, answer);
    const Source& source = *sources_[job->source];
    auto produced = transaction_->Produce(source.name.topic, source.name.partition,
                                          {.value = value, .null_value = false, .key = job->key, .headers = {}});
    if (!produced) return failed(std::move(produced).error());
  }
  const auto until = steady_clock::now() + kTransaction;
  for (;;) {
    auto committed = transaction_->Commit(kTransaction);
    if (committed) return {};
    const Fault fault = committed.error().fault;
    if (fault == Fault::kRetriable && steady_clock::now() < until) continue;
    if (fault != Fault::kAbortable) effect = Effect::kUnknown;
    return failed(std::move(committed).error());
  }
}

void ClaimsLog::Execute(Jobs& owned) {
  if (owned.empty()) return;
  Effect effect = Effect::kNone;
  const Status done = Transact(owned, effect);
  if (done) {
    for (const auto& job : owned) {
      job->done(bus::Appended{.base = *job->trace.first(), .count = static_cast<std::uint32_t>(job->records.size()), .repeated = false});
    }
    return;
  }
  Error error = done.error();
  if (effect == Effect::kOpen && transaction_->Abort(kTransaction)) effect = Effect::kNone;
  if (effect != Effect::kNone) {
    // Taking the id over ends what was open. Whether the commit was asked for or not decides what it ended as.
    transaction_.reset();
    if (Connect() && effect == Effect::kOpen) effect = Effect::kNone;
  }
  if (effect == Effect::kNone) {
    Release(owned);
    if (error.kind == ErrorKind::kDeadlineExceeded) error.kind = ErrorKind::kUnavailable;
  } else {
    error.kind = ErrorKind::kDeadlineExceeded;
    error.message += "; whether its records are there is not known, a retry with the same key finds out";
  }
  for (const auto& job : owned) job->done(std::unexpected(error));
}

// Whose claims came first. With mutex_.
void ClaimsLog::Sort(Jobs& claimed, Jobs& owned, Jobs& waiting, std::vector<Answered>& answered) {
  for (auto& job : claimed) {
    const Source& source = *sources_[job->source];
    if (job->claim_failed) {
      const Error error = *job->claim_failed;
      answered.push_back({std::move(job), std::unexpected(error)});
      continue;
    }
    const ClaimsView::Entry* entry = source.view.Find(job->key, source.newest);
    const bool mine = entry != nullptr && !entry->done && entry->owner == job->id;
    const bool read = source.position.value > job->claim_offset;
    if (read && mine && steady_clock::now() - job->claim_sent < kBeginWithin) {
      owned.push_back(std::move(job));
    } else if (read && !mine) {
      job->lost = true;
      waiting.push_back(std::move(job));
    } else {
      const std::string why = source.failed ? source.failed->message : "the log of claims is not read back in time";
      answered.push_back({std::move(job), Fail(ErrorKind::kUnavailable, why + "; send it again")});
    }
  }
}

void ClaimsLog::Work() {
  Jobs waiting;
  for (;;) {
    Jobs to_claim;
    std::vector<Answered> answered;
    bool stopping = false;
    {
      std::unique_lock lock(mutex_);
      // Those that wait for others look again now and then.
      if (inbox_.empty() && !stopping_) {
        changed_.wait_for(lock, waiting.empty() ? milliseconds(1'000) : kIdle, [&] { return !inbox_.empty() || stopping_; });
      }
      for (auto& job : inbox_) waiting.push_back(std::move(job));
      inbox_.clear();
      Judge(waiting, to_claim, answered);
      stopping = stopping_;
    }
    for (const Answered& one : answered) one.job->done(one.answer);
    if (stopping) {
      for (Jobs* jobs : {&waiting, &to_claim}) {
        for (const auto& job : *jobs) job->done(Fail(ErrorKind::kCancelled, "the server is shutting down; send it again"));
      }
      return;
    }
    if (to_claim.empty()) continue;
    // Of several with one key only the first claims; the others then find its answer.
    std::ranges::stable_sort(to_claim, {}, [](const auto& job) { return job->key; });
    for (std::size_t i = to_claim.size(); i-- > 1;) {
      if (to_claim[i]->key != to_claim[i - 1]->key) continue;
      waiting.push_back(std::move(to_claim[i]));
      to_claim.erase(to_claim.begin() + static_cast<std::ptrdiff_t>(i));
    }
    SendClaims(to_claim);
    Jobs owned;
    answered.clear();
    {
      const std::lock_guard lock(mutex_);
      Sort(to_claim, owned, waiting, answered);
    }
    for (const Answered& one : answered) one.job->done(one.answer);
    Execute(owned);
  }
}

}  // namespace sightline::kafka
