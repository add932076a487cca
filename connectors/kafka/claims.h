#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "connectors/kafka/admin.h"
#include "connectors/kafka/consumer.h"
#include "connectors/kafka/producer.h"
#include "connectors/kafka/topic_settings.h"
#include "connectors/kafka/transaction.h"

namespace sightline::kafka {

// Behind the prefix.
inline constexpr std::string_view kClaimsTopic = "idempotency";

// Which requests were taken, by every process of a set-up: docs/formats/claims.md. A function of the log alone. Not thread-safe.
class ClaimsView {
 public:
  using ClaimId = Hash128;
  struct Answer {
    Offset base;
    std::uint32_t count = 0;
    std::uint32_t digest = 0;
  };
  struct Entry {
    ClaimId owner;
    AppendTime claimed;
    bool done = false;
    Answer answer;
    AppendTime finished;
  };
  // A claim holds so long after it was appended; whoever has it ends well before, or not at all.
  static constexpr std::chrono::milliseconds kLease{70'000};
  static constexpr std::chrono::milliseconds kKept{24 * 3'600'000};

  static std::string KeyOf(const bus::IdempotencyTag& tag);
  static std::string Claim(const ClaimId& id);
  static std::string Release(const ClaimId& id);
  static std::string Done(const ClaimId& id, const Answer& answer);

  // kCorruption when the record is none of ours.
  Status Apply(std::string_view key, std::string_view value, AppendTime time);
  // The entry that stands at `now`, or null: the key is free.
  const Entry* Find(const std::string& key, AppendTime now) const;
  void Forget(AppendTime now);
  std::size_t size() const { return entries_.size(); }

 private:
  static bool Stands(const Entry& entry, AppendTime now);
  std::unordered_map<std::string, Entry> entries_;
};

// Appends under an idempotency tag: each (key, part) once, whichever process it reaches and however often. A claim is appended to the log
// of claims; whose claim comes first writes its records and `done` in one transaction. Thread-safe.
class ClaimsLog {
 public:
  struct Place {
    std::string topic;  // full name
    Partition partition;
    std::optional<Codec> compression;
  };
  // From a thread of the log.
  using Done = std::function<void(Result<bus::Appended>)>;

  // Makes the topic where it is missing, and reads it to its end.
  static Result<std::unique_ptr<ClaimsLog>> Open(const ClientOptions& client, Admin& admin, ConsumerPool& consumers,
                                                 const std::string& prefix, const TopicPolicy& policy);
  ClaimsLog(const ClaimsLog&) = delete;
  ClaimsLog& operator=(const ClaimsLog&) = delete;
  // What is under way is ended or answered with kCancelled.
  ~ClaimsLog();

  // `records` and what they point to must live until `done`. kAlreadyExists when the key came with another digest before; kUnavailable
  // while another process has the claim, or when nothing was appended; kDeadlineExceeded when that is not known: a retry with the same tag
  // is safe in any case.
  void Append(const bus::IdempotencyTag& tag, Place place, std::vector<OutRecord> records, Done done);

  // A request that was taken, and what it was answered.
  struct Known {
    bus::IdempotencyTag tag;
    ClaimsView::Answer answer;
  };
  // Makes requests known that were taken elsewhere, for as long as if they had been taken here now. The same again changes nothing.
  Status Adopt(std::span<const Known> requests);

 private:
  struct Job;
  struct Source;
  struct Answered;
  using Jobs = std::vector<std::unique_ptr<Job>>;
  ClaimsLog(ClientOptions client, std::string topic, std::string transactional_id);
  Status Prepare(Admin& admin, ConsumerPool& consumers, const TopicPolicy& policy);
  Status Connect();
  Result<bool> ReadOnce(Source& source);
  void ReadOn();
  void Work();
  void Judge(Jobs& jobs, Jobs& to_claim, std::vector<Answered>& answered);
  void Sort(Jobs& claimed, Jobs& owned, Jobs& waiting, std::vector<Answered>& answered);
  void SendClaims(Jobs& jobs);
  void Execute(Jobs& owned);
  // What may be said of a transaction that failed.
  enum class Effect : std::uint8_t { kNone, kOpen, kUnknown };
  Status Transact(Jobs& owned, Effect& effect);
  struct Told {
    std::string key;
    std::string value;
  };
  Status Tell(std::span<const Told> records);
  void Release(const Jobs& jobs);
  std::size_t SourceOf(const std::string& key) const;

  const ClientOptions client_;
  const std::string topic_;
  const std::string transactional_id_;
  std::unique_ptr<Producer> claimer_;
  std::unique_ptr<TransactionalProducer> transaction_;
  std::vector<std::unique_ptr<Source>> sources_;

  std::mutex mutex_;  // of what follows, and of the sources' views
  std::condition_variable changed_;
  std::deque<std::unique_ptr<Job>> inbox_;
  bool woken_ = false;
  bool stopping_ = false;
  std::thread reader_;
  std::thread worker_;
};

}  // namespace sightline::kafka
