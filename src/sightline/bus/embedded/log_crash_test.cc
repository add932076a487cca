// Crashes at every kind of moment, decided by a seed, and what must hold after each. SIGHTLINE_SEEDS=N runs N seeds,
// SIGHTLINE_SEED=S only that one.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <set>

#include "sightline/base/testing/rounds.h"
#include "sightline/bus/testing/bus_harness.h"
#include "sightline/bus/testing/simulated_log.h"

namespace sightline::bus::testing {
namespace {

const TopicPartition kSafe{"safe", Partition(0)};
const TopicPartition kLoose{"loose", Partition(0)};
const TopicPartition kOwned{"owned", Partition(0)};

enum class Fate : std::uint8_t { kPending, kAcknowledged, kUnknown, kRefused };

// An append as its producer remembers it.
struct Sent {
  std::vector<std::string> values;
  std::uint64_t producer = 0;
  std::uint64_t sequence = 0;
  std::optional<IdempotencyTag> tag = std::nullopt;
  Fate fate = Fate::kPending;
  Offset base{};
};

class CrashRun {
 public:
  explicit CrashRun(std::uint64_t seed) : random_(seed), log_(seed, {.flushing = LogBus::Flushing::kManual, .retention_interval = {}}) {
    segment_bytes_ = 4096ULL << random_.Below(3);
    retain_ = random_.OneIn(3);
  }

  void Run(int steps) {
    Start();
    for (int i = 0; i < steps && !::testing::Test::HasFailure(); ++i) {
      if (power_cut_at_ == 0 && random_.OneIn(40)) {
        power_cut_at_ = 1 + random_.Below(random_.OneIn(2) ? 12 : 200);
        log_.files.CutPowerAfter(power_cut_at_);
      }
      Step();
      if (!log_.files.powered()) Crash();
    }
    if (!::testing::Test::HasFailure()) Crash();
  }

 private:
  void Start() {
    for (int attempt = 0;; ++attempt) {
      const Status opened = log_.Open();
      if (opened) break;
      ASSERT_FALSE(log_.files.powered()) << opened.error().ToString();
      log_.PowerCycle();
      power_cut_at_ = 0;
      ASSERT_LT(attempt, 20);
    }
    for (const LogBus::Recovered& recovered : log_.bus->recovered()) {
      ASSERT_TRUE(recovered.report.damages.empty())
          << recovered.partition.topic << " reported damage at " << recovered.report.damages[0].from.value << " to "
          << recovered.report.damages[0].to.value << " in " << recovered.report.damages[0].file << " byte "
          << recovered.report.damages[0].position;
    }
    TopicSpec safe{.name = "safe", .segment_bytes = segment_bytes_};
    if (retain_) safe.retain_time = std::chrono::minutes(10);
    TopicSpec loose{.name = "loose", .durability = Durability::kOs, .compression = Compression::kLz4};
    loose.segment_bytes = segment_bytes_;
    TopicSpec owned{.name = "owned", .segment_bytes = segment_bytes_, .owned = true};
    for (const TopicSpec& spec : {safe, loose, owned}) {
      const Status ensured = log_.bus->EnsureTopic(spec);
      if (!ensured) {
        ASSERT_FALSE(log_.files.powered()) << ensured.error().ToString();
        return Crash();
      }
    }
    if (!log_.files.powered()) return Crash();
    Verify();
    RecoverOwner();
  }

  void Crash() {
    owner_.reset();
    if (!random_.OneIn(4)) {
      log_.PowerCycle();
    } else if (log_.files.powered()) {
      log_.Kill();
    } else {
      log_.PowerCycle();
    }
    power_cut_at_ = 0;
    for (Sent& sent : sent_) {
      if (sent.fate == Fate::kPending) sent.fate = Fate::kUnknown;
    }
    ++crashes_;
    Start();
  }

  std::vector<std::string> NewValues() {
    std::vector<std::string> values;
    for (std::uint64_t n = 1 + random_.Below(4); n > 0; --n) {
      std::string value = std::to_string(next_value_++) + ":";
      value.append(random_.OneIn(3) ? random_.Below(3000) : random_.Below(40), static_cast<char>('a' + random_.Below(26)));
      values.push_back(std::move(value));
    }
    return values;
  }

  void Send(Sent& sent) {
    const auto views = Views(sent.values);
    AppendBatch batch{.values = views, .producer = sent.producer, .sequence = sent.sequence, .idempotency = sent.tag};
    sent.fate = Fate::kPending;
    const std::size_t index = static_cast<std::size_t>(&sent - sent_.data());
    log_.bus->Append(kSafe, batch, [this, index](const Result<Appended>& appended) {
      Sent& answered = sent_[index];
      if (appended) {
        answered.fate = Fate::kAcknowledged;
        answered.base = appended->base;
        EXPECT_EQ(appended->count, answered.values.size());
      } else {
        answered.fate = appended.error().kind == ErrorKind::kIo ? Fate::kUnknown : Fate::kRefused;
      }
    });
  }

  // A producer sends its oldest unanswered append again before anything new, as the port asks.
  void AppendAsProducer() {
    const std::uint64_t producer = 1 + random_.Below(3);
    for (Sent& sent : sent_) {
      if (sent.producer != producer) continue;
      if (sent.fate == Fate::kPending) return;
      if (sent.fate != Fate::kAcknowledged) return Send(sent);
    }
    sent_.push_back({.values = NewValues(), .producer = producer, .sequence = ++sequences_[producer]});
    Send(sent_.back());
  }

  void AppendTagged() {
    for (Sent& sent : sent_) {
      if (sent.tag && sent.fate == Fate::kUnknown) return Send(sent);
    }
    const std::uint64_t key = ++next_key_;
    sent_.push_back({.values = NewValues(), .tag = IdempotencyTag{.key = {key, Mix64(key)}, .part = 0, .digest = 1}});
    Send(sent_.back());
    // The client is impatient.
    if (random_.OneIn(3)) {
      const auto views = Views(sent_.back().values);
      log_.bus->Append(kSafe, {.values = views, .idempotency = sent_.back().tag},
                       [](const Result<Appended>& appended) { EXPECT_TRUE(!appended || appended->repeated); });
    }
  }

  std::int64_t loose_end() const { return static_cast<std::int64_t>(loose_.size()); }

  void AppendLoose() {
    const auto values = NewValues();
    const auto views = Views(values);
    log_.bus->Append(kLoose, {.values = views}, [&](const Result<Appended>& appended) {
      // After an error of the disk the batch may be there all the same; the partition takes no other then.
      if (!appended && (appended.error().kind != ErrorKind::kIo || std::exchange(loose_failed_, true))) return;
      ASSERT_EQ(appended ? appended->base.value : loose_end(), loose_end());
      loose_.insert(loose_.end(), values.begin(), values.end());
    });
    if (!random_.OneIn(5)) return;
    const Offset end(loose_end());
    if (log_.bus->MakeDurable(kLoose, end)) loose_durable_ = loose_.size();
  }

  void AppendAsOwner() {
    if (!owner_) return;
    const auto values = NewValues();
    const auto views = Views(values);
    const auto appended = owner_->Append({.values = views});
    if (!appended) return;
    ASSERT_EQ(appended->base.value, static_cast<std::int64_t>(owned_.size()));
    owned_.insert(owned_.end(), values.begin(), values.end());
  }

  void CommitAsOwner() {
    if (!owner_ || !owner_->Sync()) return;
    ASSERT_EQ(owner_->end().value, static_cast<std::int64_t>(owned_.size()));
    committed_ = owned_.size();  // the owner's journal, which is durable here
    if (random_.OneIn(5)) return;
    const Status published = owner_->Publish(owner_->end());
    ASSERT_TRUE(published) << published.error().ToString();
  }

  void RecoverOwner() {
    std::vector<std::string> seen;
    ReadAll(kOwned, 0, seen);
    ASSERT_LE(seen.size(), committed_) << "readers see what the owner may take back";
    auto owner = log_.bus->OpenOwned(kOwned);
    ASSERT_TRUE(owner);
    owner_ = std::move(*owner);
    ASSERT_GE(owner_->end().value, static_cast<std::int64_t>(committed_)) << "a committed end is lost";
    owned_.resize(committed_);
    const Offset end(static_cast<std::int64_t>(committed_));
    Status recovered = owner_->TruncateTo(end);
    if (recovered) recovered = owner_->Publish(end);
    if (!recovered) {
      ASSERT_FALSE(log_.files.powered()) << recovered.error().ToString();
      return;
    }
    seen.clear();
    ReadAll(kOwned, 0, seen);
    ASSERT_EQ(seen, owned_);
  }

  void CommitGroup() {
    const auto info = log_.bus->Describe("safe");
    ASSERT_TRUE(info);
    const Offset start = info->partitions[0].start;
    const Offset at = start + static_cast<std::int64_t>(random_.Below(static_cast<std::uint64_t>(info->partitions[0].visible - start) + 1));
    if (log_.bus->CommitOffset("group", kSafe, at)) {
      group_ = {at};
    } else {
      group_.push_back(at);
    }
  }

  void Step() {
    switch (random_.Below(16)) {
      case 0:
      case 1:
      case 2:
      case 3: return AppendAsProducer();
      case 4:
      case 5: return AppendTagged();
      case 6:
      case 7: return AppendLoose();
      case 8:
      case 9: return AppendAsOwner();
      case 10: return CommitAsOwner();
      case 11:
      case 12: log_.bus->FlushOnce(); return;
      case 13: return CommitGroup();
      case 14:
        log_.clock.Advance(std::chrono::seconds(random_.Below(100)));
        if (random_.OneIn(10)) log_.clock.Jump(std::chrono::minutes(static_cast<int>(random_.Below(100)) - 50));
        if (random_.OneIn(3)) static_cast<void>(log_.bus->ApplyRetention(log_.clock.Now()));
        return;
      default:
        if (!random_.OneIn(10)) return;
        owner_.reset();
        if (log_.bus->Close()) Start();
    }
  }

  static void ReadFrom(Reader& reader, std::vector<std::string>& values) {
    while (true) {
      const auto batch = reader.Next();
      ASSERT_TRUE(batch) << batch.error().ToString();
      if (!*batch) return;
      for (const std::string_view value : (*batch)->values) values.emplace_back(value);
    }
  }
  void ReadAll(const TopicPartition& from, std::int64_t start, std::vector<std::string>& values) {
    auto reader = log_.bus->OpenReader(from, Offset(start));
    ASSERT_TRUE(reader) << reader.error().ToString();
    ReadFrom(**reader, values);
  }

  void Verify() {
    VerifySafe();
    if (::testing::Test::HasFailure()) return;
    std::vector<std::string> loose;
    ReadAll(kLoose, 0, loose);
    ASSERT_GE(loose.size(), loose_durable_) << "made durable, and lost";
    ASSERT_LE(loose.size(), loose_.size());
    loose_.resize(loose.size());
    loose_failed_ = false;
    ASSERT_EQ(loose, loose_);
    const auto position = log_.bus->CommittedOffset("group", kSafe);
    ASSERT_TRUE(position || position.error().kind == ErrorKind::kOutOfRange) << position.error().ToString();
    if (!position) return;
    ASSERT_NE(std::ranges::find(group_, *position), group_.end())
        << "the group is at " << (*position ? std::to_string((**position).value) : "nothing");
  }

  void VerifySafe() {
    const auto info = log_.bus->Describe("safe");
    ASSERT_TRUE(info);
    const std::int64_t start = info->partitions[0].start.value;
    ASSERT_EQ(info->partitions[0].dropped, 0U);
    std::vector<std::string> values;
    ReadAll(kSafe, start, values);
    std::set<std::string> once;
    std::map<std::uint64_t, std::uint64_t> newest;
    for (const std::string& value : values) ASSERT_TRUE(once.insert(value).second) << value << " is there twice";
    for (const Sent& sent : sent_) {
      if (sent.fate != Fate::kAcknowledged) continue;
      for (std::size_t i = 0; i < sent.values.size(); ++i) {
        const std::int64_t at = sent.base.value + static_cast<std::int64_t>(i) - start;
        if (at < 0) continue;  // retention took it
        ASSERT_LT(at, static_cast<std::int64_t>(values.size())) << "acknowledged, and lost: " << sent.values[i].substr(0, 20);
        ASSERT_EQ(values[static_cast<std::size_t>(at)], sent.values[i]);
      }
      if (sent.producer == 0) continue;
      ASSERT_GT(sent.sequence, newest[sent.producer]) << "a producer's order is broken";
      newest[sent.producer] = sent.sequence;
    }
  }

  runtime::Random random_;
  SimulatedLog log_;
  std::unique_ptr<OwnedPartition> owner_;
  std::uint64_t segment_bytes_ = 0;
  bool retain_ = false;
  std::uint64_t power_cut_at_ = 0;
  int crashes_ = 0;

  std::vector<Sent> sent_;
  std::map<std::uint64_t, std::uint64_t> sequences_;
  std::uint64_t next_value_ = 0;
  std::uint64_t next_key_ = 0;
  std::vector<std::string> loose_;
  std::size_t loose_durable_ = 0;
  bool loose_failed_ = false;
  std::vector<std::string> owned_;
  std::size_t committed_ = 0;
  std::vector<std::optional<Offset>> group_ = {std::nullopt};  // where a group may be, after commits of unknown outcome
};

std::uint64_t FromEnvironment(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

TEST(LogCrash, NothingAcknowledgedIsLostNothingIsDoubled) {
  const std::uint64_t only = FromEnvironment("SIGHTLINE_SEED", 0);
  const std::uint64_t seeds = FromEnvironment("SIGHTLINE_SEEDS", OneThreadRounds(150));
  for (std::uint64_t seed = only != 0 ? only : 1; seed <= (only != 0 ? only : seeds); ++seed) {
    SCOPED_TRACE("SIGHTLINE_SEED=" + std::to_string(seed));
    CrashRun(seed).Run(600);
    if (HasFailure()) return;
  }
}

}  // namespace
}  // namespace sightline::bus::testing
