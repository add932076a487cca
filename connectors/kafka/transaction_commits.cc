#include "connectors/kafka/transaction_commits.h"

#include <algorithm>
#include <charconv>
#include <thread>
#include <utility>

#include "connectors/kafka/record_reader.h"
#include "connectors/kafka/snapshot_objects.h"
#include "sightline/base/bytes.h"

namespace sightline::kafka {
namespace {

constexpr auto kRetryWait = std::chrono::milliseconds(2);
constexpr int kOvertakenMax = 8;
constexpr RecordHeader kBinary[] = {{kEncodingHeader, "binary"}};

// What stands beside the offset of the first input: "1 SNAPSHOT OUTPUTS", the outputs with commas between them.
struct CommitText {
  std::string snapshot;
  std::vector<std::int64_t> outputs;

  std::string ToString() const {
    std::string text = "1 " + snapshot + " ";
    for (std::size_t i = 0; i < outputs.size(); ++i) text += (i == 0 ? "" : ",") + std::to_string(outputs[i]);
    return text;
  }
  static std::optional<CommitText> Parse(std::string_view text) {
    CommitText parsed;
    if (!text.starts_with("1 ")) return std::nullopt;
    text.remove_prefix(2);
    const std::size_t space = text.find(' ');
    if (space == std::string_view::npos) return std::nullopt;
    parsed.snapshot = std::string(text.substr(0, space));
    const char* at = text.data() + space + 1;
    const char* const end = text.data() + text.size();
    while (at < end) {
      std::int64_t output = 0;
      const auto [next, error] = std::from_chars(at, end, output);
      if (error != std::errc() || (next != end && *next != ',')) return std::nullopt;
      parsed.outputs.push_back(output);
      at = next == end ? end : next + 1;
    }
    return parsed;
  }
};

// A note in the progress topic: docs/formats/transactions.md.
enum class NoteKind : std::uint8_t { kActivation = 1, kTick = 2 };

std::string EncodeActivation(const flow::ReferenceActivation& activation) {
  std::string bytes;
  ByteWriter out(bytes);
  out.Put(NoteKind::kActivation);
  out.Put(activation.input);
  out.PutString(activation.name);
  out.Put(activation.version);
  return bytes;
}

std::string EncodeTick(const flow::IdleTick& tick) {
  std::string bytes;
  ByteWriter out(bytes);
  out.Put(NoteKind::kTick);
  out.Put(tick.input);
  out.Put(tick.at.value);
  return bytes;
}

class TransactionCommitLog final : public flow::CommitLog {
 public:
  TransactionCommitLog(KafkaBus& bus, stores::ObjectStore& objects, runtime::Failpoints& failpoints,
                       const TransactionCommitLogs::Settings& settings, const flow::CommitPlace& place)
      : bus_(bus),
        failpoints_(failpoints),
        settings_(settings),
        place_(place),
        name_(place.pipeline + "/" + std::to_string(place.partition.value)),
        group_(bus.FullName("commits." + place.pipeline)),
        progress_{ProgressTopic(place.pipeline), place.partition},
        snapshots_(objects, settings.prefix + "/" + place.pipeline + "/" + std::to_string(place.partition.value)) {
    for (const TopicPartition& input : place.inputs) inputs_.push_back({bus.FullName(input.topic), input.partition});
    for (const std::string& topic : place.topics) topics_.push_back(bus.FullName(topic));
  }

  Status Open() {
    SL_TRY(TakeOver());
    SL_ASSIGN_OR_RETURN(const std::vector<GroupOffset> offsets, bus_.positions().Committed(group_, inputs_));
    if (offsets.empty()) {
      SL_TRY(CheckNew());
      ends_.assign(topics_.size(), 0);
    } else {
      SL_TRY(Recover(offsets));
    }
    return snapshots_.Sweep();
  }

  // Instead of Open: commits what was committed elsewhere, in the place of whatever is committed here.
  Status Install(const flow::Snapshot& snapshot, std::span<const flow::KeptIdRun> runs, const flow::ReadIdRun& read, const flow::IdRun& run,
                 std::int64_t watermark) {
    SL_TRY(TakeOver());
    SL_TRY(snapshots_.Sweep());
    for (const flow::KeptIdRun& kept : runs) {
      if (kept.forgotten_at <= watermark) continue;
      SL_TRY(read(kept, [&](std::string_view bytes) { return snapshots_.AddRun(bytes, kept.forgotten_at); }));
    }
    SL_ASSIGN_OR_RETURN(const bus::TopicInfo progress, bus_.Describe(progress_.topic));
    progress_from_ = progress.partitions.at(static_cast<std::size_t>(progress_.partition.value)).visible.value;
    return TakeSnapshot(snapshot, run, watermark);
  }

  // From here on the predecessor can commit nothing: what is committed stays as it is.
  Status TakeOver() {
    SL_ASSIGN_OR_RETURN(const bus::TopicInfo like, bus_.Describe(place_.topics.back()));
    bus::TopicSpec progress = like.spec;
    progress.name = progress_.topic;
    progress.partitions = static_cast<std::int32_t>(like.partitions.size());
    SL_TRY(bus_.EnsureTopic(progress));
    SL_ASSIGN_OR_RETURN(producer_, TransactionalProducer::Make(bus_.options().client,
                                                               {.transactional_id = bus_.FullName("flow." + place_.pipeline + "." +
                                                                                                  std::to_string(place_.partition.value)),
                                                                .transaction_timeout = settings_.transaction_timeout}));
    return Retry(settings_.takeover_timeout, [&] { return producer_->Init(settings_.takeover_timeout); });
  }

  // Instead of Open: what was committed, whoever commits.
  Status Look() {
    for (int overtaken = 0;; ++overtaken) {
      SL_ASSIGN_OR_RETURN(const std::vector<GroupOffset> offsets, bus_.positions().Committed(group_, inputs_));
      if (offsets.empty()) return {};
      Status recovered = Recover(offsets);
      // A newer snapshot took the place of the one that was just named.
      if (!recovered && recovered.error().kind == ErrorKind::kNotFound && overtaken < kOvertakenMax) continue;
      return recovered;
    }
  }

  std::optional<flow::Recovered> TakeRecovered() override { return std::exchange(recovered_, std::nullopt); }
  flow::ReadIdRun id_run_reader() override { return snapshots_.id_run_reader(); }
  std::vector<std::int64_t> ends() const override { return ends_; }
  // Nobody sees what was not committed: there is nothing to cut.
  Status CutBack(std::span<const std::int64_t>) override { return {}; }

  Status Append(std::size_t topic, std::span<const std::string_view> values) override {
    for (const std::string_view value : values) SL_TRY(Produce(topics_[topic], value));
    return {};
  }
  Status NoteActivation(const flow::ReferenceActivation& activation) override {
    return Produce(bus_.FullName(progress_.topic), EncodeActivation(activation));
  }
  bool keeps_ticks() const override { return true; }
  Status NoteTick(const flow::IdleTick& tick) override { return Produce(bus_.FullName(progress_.topic), EncodeTick(tick)); }

  Status Commit(const flow::CommitPoint& point) override {
    SL_TRY(failpoints_.Hit("flow.commit.begin"));
    SL_TRY(Begin());
    const std::string text = CommitText{snapshot_, point.outputs}.ToString();
    std::vector<GroupOffset> offsets;
    for (std::size_t i = 0; i < inputs_.size(); ++i) offsets.push_back({inputs_[i], Offset(point.inputs[i]), i == 0 ? text : ""});
    const GroupMetadata group = GroupMetadata::OfGroup(group_);
    SL_TRY(Retry(settings_.transaction_timeout, [&] { return producer_->SendOffsets(offsets, group, settings_.transaction_timeout); }));
    SL_TRY(failpoints_.Hit("flow.commit.outputs_durable"));
    SL_TRY(Retry(settings_.transaction_timeout, [&] { return producer_->Commit(settings_.transaction_timeout); }));
    begun_ = false;
    ++commits_;
    ends_ = point.outputs;
    TellReaders();
    return failpoints_.Hit("flow.commit.published");
  }

  Status TakeSnapshot(const flow::Snapshot& snapshot, const flow::IdRun& run, std::int64_t watermark) override {
    // What was noted up to here is in the snapshot.
    SL_TRY(Retry(settings_.transaction_timeout, [&] { return producer_->Flush(settings_.transaction_timeout); }));
    const auto ends = producer_->Ends();
    if (const auto end = ends.find({bus_.FullName(progress_.topic), progress_.partition}); end != ends.end()) {
      progress_from_ = std::max(progress_from_, end->second.value);
    }
    SL_ASSIGN_OR_RETURN(snapshot_, snapshots_.Put(snapshot, run, watermark, place_.fingerprint, progress_from_));
    SL_TRY(failpoints_.Hit("flow.snapshot.durable"));
    SL_TRY(Commit(snapshot.point));
    snapshots_.Count();
    return {};
  }

  std::uint64_t commits() const override { return commits_; }

 private:
  Status CheckNew() {
    std::vector<TopicPartition> owned;
    for (const std::string& topic : topics_) owned.push_back({topic, place_.partition});
    SL_ASSIGN_OR_RETURN(const std::vector<Offset> ends, bus_.admin().Ends(owned, Isolation::kCommitted));
    for (std::size_t i = 0; i < ends.size(); ++i) {
      if (ends[i] == Offset(0)) continue;
      return Fail(ErrorKind::kFailedPrecondition,
                  name_ + ": topic " + topics_[i] + ", which it owns, holds results, but the group " + group_ +
                      " says nothing of what they were made from: its offsets expired or were deleted. Restore them, or remove the "
                      "pipeline's topics to start anew");
    }
    return {};
  }

  Status Recover(const std::vector<GroupOffset>& offsets) {
    flow::Recovered recovered;
    std::string_view text;
    for (const TopicPartition& input : inputs_) {
      const auto at = std::ranges::find(offsets, input, &GroupOffset::partition);
      if (at == offsets.end()) {
        return Fail(ErrorKind::kCorruption,
                    name_ + ": the group " + group_ + " has no offset for " + input.topic + "/" + std::to_string(input.partition.value) +
                        ", but for its other inputs: somebody changed it by hand, or the input has more partitions now");
      }
      recovered.last.inputs.push_back(at->next.value);
      if (input == inputs_.front()) text = at->metadata;
    }
    const std::optional<CommitText> commit = CommitText::Parse(text);
    if (!commit) {
      return Fail(ErrorKind::kCorruption,
                  name_ + ": beside the offset of the group " + group_ + " stands \"" + std::string(text) +
                      "\", not what a commit writes: somebody changed the offset by hand, or a newer version wrote it");
    }
    snapshot_ = commit->snapshot;
    recovered.last.outputs = commit->outputs;
    SL_ASSIGN_OR_RETURN(SnapshotObjects::Loaded loaded, snapshots_.Load(snapshot_));
    recovered.snapshot = std::move(loaded.snapshot);
    recovered.id_runs = std::move(loaded.id_runs);
    recovered.other_plan = loaded.fingerprint != place_.fingerprint;
    progress_from_ = loaded.progress_from;
    SL_TRY(ReadProgress(recovered));
    ends_ = recovered.last.outputs;
    recovered_ = std::move(recovered);
    return {};
  }

  // What was noted after the snapshot, up to the newest commit.
  Status ReadProgress(flow::Recovered& recovered) {
    SL_ASSIGN_OR_RETURN(const bus::TopicInfo info, bus_.Describe(progress_.topic));
    const auto& partition = info.partitions[static_cast<std::size_t>(progress_.partition.value)];
    const Offset end = partition.visible;
    if (progress_from_ >= end.value) return {};
    if (progress_from_ < partition.start.value) {
      return Fail(ErrorKind::kOutOfRange, name_ + ": what was noted in " + progress_.topic +
                                              " after the newest snapshot is gone: its "
                                              "retention is shorter than the time between two snapshots; lengthen it");
    }
    SL_ASSIGN_OR_RETURN(const std::unique_ptr<bus::Reader> reader, bus_.OpenReader(progress_, Offset(progress_from_)));
    const auto give_up = std::chrono::steady_clock::now() + settings_.takeover_timeout;
    while (reader->position() < end) {
      SL_ASSIGN_OR_RETURN(const std::optional<bus::Batch> batch, reader->Next());
      if (!batch) {
        if (std::chrono::steady_clock::now() > give_up) {
          return Fail(ErrorKind::kDeadlineExceeded, name_ + ": " + progress_.topic + " could not be read up to " +
                                                        std::to_string(end.value) + " in time; it is tried again");
        }
        std::this_thread::sleep_for(kRetryWait);
        continue;
      }
      for (const std::string_view value : batch->values) SL_TRY(TakeNote(value, recovered));
    }
    return {};
  }

  Status TakeNote(std::string_view value, flow::Recovered& recovered) const {
    ByteReader in(value);
    const auto kind = in.Get<NoteKind>();
    const auto input = in.Get<std::int64_t>();
    if (kind == NoteKind::kActivation) {
      flow::ReferenceActivation activation;
      activation.input = input;
      activation.name = std::string(in.GetString());
      activation.version = in.Get<std::uint64_t>();
      recovered.activations.push_back(std::move(activation));
    } else if (kind == NoteKind::kTick) {
      recovered.ticks.push_back({.at = AppendTime(in.Get<std::int64_t>()), .input = input, .after = recovered.activations.size()});
    }
    if (in.done()) return {};
    return Fail(ErrorKind::kCorruption, name_ + ": a record in " + progress_.topic + " is no note of this version");
  }

  Status Begin() {
    if (begun_) return {};
    SL_TRY(Retry(settings_.transaction_timeout, [&] { return producer_->Begin(); }));
    begun_ = true;
    return {};
  }

  Status Produce(const std::string& topic, std::string_view value) {
    SL_TRY(Begin());
    const OutRecord record{.value = value, .null_value = false, .key = std::nullopt, .headers = kBinary};
    return Retry(settings_.transaction_timeout, [&] { return producer_->Produce(topic, place_.partition, record); });
  }

  // After an error the log is dead: whoever opens it anew aborts what was open.
  template <typename Call>
  Status Retry(std::chrono::milliseconds timeout, Call call) {
    Status done = Insist(*producer_, timeout, std::move(call));
    if (!done) return std::unexpected(std::move(done.error()).In(name_));
    return done;
  }

  // Readers in this process need not ask the broker.
  void TellReaders() {
    const auto ends = producer_->Ends();
    for (std::size_t i = 0; i < topics_.size(); ++i) {
      const auto end = ends.find({topics_[i], place_.partition});
      // The record that ends the transaction takes an offset, too.
      if (end != ends.end()) bus_.NoteEnd({place_.topics[i], place_.partition}, end->second + 1);
    }
  }

  KafkaBus& bus_;
  runtime::Failpoints& failpoints_;
  const TransactionCommitLogs::Settings settings_;
  const flow::CommitPlace place_;
  const std::string name_;
  const std::string group_;
  const TopicPartition progress_;
  std::vector<TopicPartition> inputs_;  // as the cluster calls them
  std::vector<std::string> topics_;
  SnapshotObjects snapshots_;
  std::unique_ptr<TransactionalProducer> producer_;
  std::optional<flow::Recovered> recovered_;
  std::vector<std::int64_t> ends_;
  std::string snapshot_;            // the name that commits give
  std::int64_t progress_from_ = 0;  // of that snapshot
  bool begun_ = false;
  std::uint64_t commits_ = 0;
};

}  // namespace

Result<std::unique_ptr<flow::CommitLog>> TransactionCommitLogs::Open(const flow::CommitPlace& place) {
  auto log = std::make_unique<TransactionCommitLog>(bus_, objects_, failpoints_, settings_, place);
  SL_TRY(log->Open());
  return log;
}

Result<std::optional<flow::CommittedState>> TransactionCommitLogs::Read(const flow::CommitPlace& place) {
  const auto log = std::make_shared<TransactionCommitLog>(bus_, objects_, failpoints_, settings_, place);
  SL_TRY(log->Look());
  std::optional<flow::Recovered> recovered = log->TakeRecovered();
  if (!recovered) return std::optional<flow::CommittedState>();
  const auto read = [log](const flow::KeptIdRun& run, const std::function<Status(std::string_view)>& take) {
    return log->id_run_reader()(run, take);
  };
  return flow::CommittedState{.recovered = std::move(*recovered), .read_ids = read};
}

Status TransactionCommitLogs::Install(const flow::CommitPlace& place, const flow::Snapshot& snapshot, std::span<const flow::KeptIdRun> runs,
                                      const flow::ReadIdRun& read, const flow::IdRun& run, std::int64_t watermark) {
  return TransactionCommitLog(bus_, objects_, failpoints_, settings_, place).Install(snapshot, runs, read, run, watermark);
}

std::string ProgressTopic(const std::string& pipeline) { return pipeline + ".progress"; }

}  // namespace sightline::kafka
