#include "connectors/kafka/examination.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <condition_variable>
#include <cstdlib>

#include "connectors/kafka/transaction.h"
#include "sightline/base/text.h"

namespace sightline::kafka {
namespace {

using std::chrono::milliseconds;
using State = Looked::State;

constexpr milliseconds kTransaction{15'000};
constexpr std::int64_t kSkewMsMax = 2'000;
constexpr std::int64_t kSkewMsProblem = 60'000;
// A broker tells no version, but which versions of a request it takes. Of Fetch, the newest that each release brought.
constexpr std::array<std::pair<int, std::string_view>, 9> kFetchVersions = {
    {{18, "4.1"}, {17, "3.9"}, {16, "3.7"}, {15, "3.5"}, {13, "3.1"}, {12, "2.7"}, {11, "2.3"}, {10, "2.1"}, {4, "0.11"}}};
constexpr int kFetchVersionNeeded = 11;

class Examination {
 public:
  Examination(const KafkaBusOptions& options, const std::vector<bus::TopicSpec>& topics, const runtime::Clock& clock)
      : options_(options), topics_(topics), clock_(clock) {
    options_.client.log = [](LogLevel, std::string_view) {};
  }

  std::vector<Looked> Run() {
    if (!Reach()) return std::move(looked_);
    LookAtVersion();
    LookAtBrokers();
    LookAtGroups();
    const bool transactions = LookAtTransactions();
    for (const bus::TopicSpec& spec : topics_) LookAtTopic(spec, transactions);
    if (!topics_.empty() && !skew_known_) {
      Add("kafka clock", State::kGood, "not compared: none of our topics is there yet, or none may be written");
    }
    return std::move(looked_);
  }

 private:
  void Add(std::string name, State state, std::string found, std::string remedy = {}) {
    looked_.push_back({std::move(name), state, std::move(found), std::move(remedy)});
  }
  // The remedy stands behind the last semicolon of our messages.
  void Add(const std::string& name, const Error& error) {
    const std::size_t cut = error.message.rfind("; ");
    if (cut == std::string::npos) return Add(name, State::kProblem, error.message);
    Add(name, State::kProblem, error.message.substr(0, cut), error.message.substr(cut + 2));
  }

  bool Reach() {
    auto bus = KafkaBus::Open(options_);
    if (!bus) {
      Add("kafka", bus.error());
      return false;
    }
    bus_ = std::move(*bus);
    const bool tls = options_.client.tls.has_value();
    const std::string who = options_.client.sasl ? "as user " + options_.client.sasl->user : "without a user";
    Add("kafka", State::kGood, "answers at " + BrokersOf(options_.client) + ", " + who + (tls ? ", over TLS" : ", in clear"));
    const bool near = std::ranges::all_of(options_.client.brokers, [](const std::string& broker) {
      return broker.starts_with("127.") || broker.starts_with("localhost:") || broker.starts_with("[::1]:");
    });
    if (!tls && !near) {
      Add("kafka encryption", State::kWarning, "everything is readable on the way to " + BrokersOf(options_.client),
          "give the brokers a TLS listener and write drivers.bus.tls");
    }
    return true;
  }

  void LookAtVersion() {
    std::mutex mutex;
    std::condition_variable told;
    int newest = -1;
    ClientOptions client = options_.client;
    client.log = [&](LogLevel, std::string_view text) {
      constexpr std::string_view kMark = "ApiKey Fetch (1) Versions ";
      const std::size_t at = text.find(kMark);
      const std::size_t dots = at == std::string_view::npos ? at : text.find("..", at);
      if (dots == std::string_view::npos) return;
      const std::lock_guard lock(mutex);
      newest = std::max(newest, std::atoi(std::string(text.substr(dots + 2)).c_str()));
      told.notify_all();
    };
    {
      const auto handle = Handle::Make(client, Handle::Role::kConsumer, Handle::Serving::kThread, {{"debug", "feature"}}, {});
      if (!handle) return Add("kafka version", handle.error());
      static_cast<void>((*handle)->Reach(options_.connect_timeout));
      std::unique_lock lock(mutex);
      told.wait_for(lock, std::chrono::seconds(5), [&] { return newest >= 0; });
    }
    if (newest < 0)
      return Add("kafka version", State::kWarning, "the broker does not tell which requests it takes", "use Kafka 2.3 or later");
    const auto* const release = std::ranges::find_if(kFetchVersions, [&](const auto& known) { return known.first <= newest; });
    const std::string version = release == kFetchVersions.end() ? "before 0.11" : std::string(release->second) + " or later";
    Add("kafka version", newest >= kFetchVersionNeeded ? State::kGood : State::kProblem, version,
        newest >= kFetchVersionNeeded ? "" : "use Kafka 2.3 or later: positions in open transactions and static members need it");
  }

  void LookAtBrokers() {
    const auto cluster = bus_->admin().Cluster();
    if (!cluster) return Add("kafka brokers", cluster.error());
    const auto brokers = static_cast<std::int32_t>(cluster->brokers.size());
    std::string names;
    for (const Broker& broker : cluster->brokers)
      names += (names.empty() ? "" : ", ") + std::to_string(broker.id) + " at " + broker.address;
    if (brokers < options_.policy.replication) {
      Add("kafka brokers", State::kProblem,
          std::to_string(brokers) + " (" + names + "), fewer than drivers.bus.replication asks for, " +
              std::to_string(options_.policy.replication),
          "add brokers, or lower drivers.bus.replication and min_insync: a single copy is lost with its disk");
    } else if (options_.policy.min_insync < 2) {
      Add("kafka brokers", State::kWarning, std::to_string(brokers) + " (" + names + "); a record is acknowledged with one copy of it",
          "set drivers.bus.replication: 3 and min_insync: 2 on three brokers");
    } else if (options_.policy.min_insync == options_.policy.replication) {
      Add("kafka brokers", State::kWarning, "min_insync is as large as replication: one broker that is down stops all writing",
          "make min_insync one less");
    } else {
      Add("kafka brokers", State::kGood, std::to_string(brokers) + " (" + names + ")");
    }
  }

  void LookAtGroups() {
    const std::string group = bus_->FullName("doctor");
    const std::vector<TopicPartition> nothing = {{bus_->FullName("doctor"), Partition(0)}};
    const auto offsets = bus_->positions().Committed(group, nothing);
    if (!offsets) return Add("kafka consumer groups", offsets.error());
    Add("kafka consumer groups", State::kGood, "groups named " + options_.prefix + "… may be used");
  }

  bool LookAtTransactions() {
    auto made = TransactionalProducer::Make(options_.client, {.transactional_id = bus_->FullName("doctor")});
    if (!made) {
      Add("kafka transactions", made.error());
      return false;
    }
    if (const auto ready = (*made)->Init(kTransaction); !ready) {
      Add("kafka transactions", ready.error().error);
      return false;
    }
    transaction_ = std::move(*made);
    Add("kafka transactions", State::kGood, "transactional ids named " + options_.prefix + "… may be used");
    return true;
  }

  void LookAtTopic(const bus::TopicSpec& spec, bool transactions) {
    const std::string full = bus_->FullName(spec.name);
    const std::string name = "kafka topic " + full;
    const auto cluster = bus_->admin().Cluster(full);
    if (!cluster) return Add(name, cluster.error());
    const auto found = cluster->topics.find(full);
    if (found == cluster->topics.end()) {
      const Status may = bus_->admin().CreateTopic(TopicFor(full, spec, options_.policy), Admin::Trial::kYes);
      if (!may) return Add(name, may.error());
      return Add(name, State::kGood, "is not there, and will be made with the first start");
    }
    const auto configs = bus_->admin().DescribeTopic(full);
    if (!configs) return Add(name, configs.error());
    const std::vector<TopicRisk> risks = RisksOf(spec, options_.policy, *configs, found->second);
    for (const TopicRisk& risk : risks) {
      Add(name, risk.weight == TopicRisk::Weight::kRefused ? State::kProblem : State::kWarning, risk.what, risk.remedy);
    }
    if (transactions && !TryToUse(name, full)) return;
    if (risks.empty()) {
      Add(name, State::kGood,
          std::to_string(found->second.size()) + " partitions, " + std::to_string(found->second[0].replicas) + " replicas");
    }
  }

  // Writes a record that nobody will see, and reads it all the same.
  bool TryToUse(const std::string& name, const std::string& full) {
    const TopicPartition place{full, Partition(0)};
    const auto begun = transaction_->Begin();
    if (!begun) {
      Add(name, begun.error().error);
      return false;
    }
    constexpr std::array<RecordHeader, 1> kTick = {{{kTypeHeader, "tick"}}};
    const WallTime before = clock_.Now();
    const auto produced =
        transaction_->Produce(full, place.partition, {.value = {}, .null_value = true, .key = std::nullopt, .headers = kTick});
    static_cast<void>(transaction_->Flush(kTransaction));
    const Offset end = transaction_->Ends()[place];
    const std::optional<Error> trouble = transaction_->last_failure();
    bool good = produced.has_value() && end > Offset(0);
    if (!good) Add(name, trouble ? *trouble : Error{ErrorKind::kUnavailable, "writing to " + full + " was not acknowledged"});
    if (good) {
      ConsumerOptions all;
      all.isolation = Isolation::kUncommitted;
      ConsumerPool pool(options_.client, all);
      const auto reading = pool.Open(place, end - 1, {});
      if (!reading) {
        Add(name, reading.error());
        good = false;
      } else {
        const auto read = (*reading)->records().Poll(kTransaction);
        if (!read) Add(name, read.error());
        good = read.has_value();
        if (read && read->batch) CompareClocks(before, read->batch->append_time);
      }
    }
    if (const auto aborted = transaction_->Abort(kTransaction); !aborted) {
      // The next topic begins anew.
      static_cast<void>(LookAtTransactions());
    }
    return good;
  }

  void CompareClocks(WallTime before, AppendTime broker) {
    if (std::exchange(skew_known_, true)) return;
    const WallTime after = clock_.Now();
    const std::int64_t ahead = broker.value > after.value    ? broker.value - after.value
                               : broker.value < before.value ? broker.value - before.value
                                                             : 0;
    const std::int64_t size = std::abs(ahead);
    const std::string found =
        size <= kSkewMsMax ? "the broker's and ours agree within " + std::to_string(std::max<std::int64_t>(size, 1)) + " ms"
                           : "the broker's is " + FormatDuration(milliseconds(size)) + (ahead > 0 ? " ahead of" : " behind") + " ours";
    const State state = size <= kSkewMsMax ? State::kGood : size <= kSkewMsProblem ? State::kWarning : State::kProblem;
    Add("kafka clock", state, found,
        state == State::kGood ? "" : "synchronise both by NTP: records would be judged late or from the future");
  }

  KafkaBusOptions options_;
  const std::vector<bus::TopicSpec>& topics_;
  const runtime::Clock& clock_;
  std::unique_ptr<KafkaBus> bus_;
  std::unique_ptr<TransactionalProducer> transaction_;
  bool skew_known_ = false;
  std::vector<Looked> looked_;
};

}  // namespace

std::vector<Looked> ExamineKafka(const KafkaBusOptions& options, const std::vector<bus::TopicSpec>& topics, const runtime::Clock& clock) {
  return Examination(options, topics, clock).Run();
}

}  // namespace sightline::kafka
