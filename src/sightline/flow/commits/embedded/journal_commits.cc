#include "sightline/flow/commits/embedded/journal_commits.h"

#include <utility>

#include "sightline/base/hash.h"
#include "sightline/flow/commits/embedded/journal.h"
#include "sightline/runtime/file_system.h"

namespace sightline::flow {
namespace {

std::unexpected<Error> DamagedRun(const std::string& path) {
  return Fail(ErrorKind::kCorruption, path +
                                          " does not hold the dedupe ids that were written: the file is damaged; restore it or start the "
                                          "pipeline anew with --from earliest");
}

class JournalCommitLog final : public CommitLog {
 public:
  JournalCommitLog(runtime::Runtime runtime, std::string directory) : runtime_(runtime), directory_(std::move(directory)) {}

  Status Open(bus::Bus& bus, const CommitPlace& place) {
    SL_ASSIGN_OR_RETURN(journal_, Journal::Open(runtime_, directory_, place.fingerprint, recovered_));
    for (const std::string& topic : place.topics) {
      SL_ASSIGN_OR_RETURN(std::unique_ptr<bus::OwnedPartition> partition, bus.OpenOwned({topic, place.partition}));
      partitions_.push_back(std::move(partition));
    }
    // Nothing is put out before the first snapshot, so that an owned topic that holds something has lost its journal.
    for (std::size_t i = 0; !recovered_ && i < partitions_.size(); ++i) {
      if (partitions_[i]->end() == Offset(0)) continue;
      return Fail(ErrorKind::kFailedPrecondition, place.pipeline + "/" + std::to_string(place.partition.value) + ": topic " +
                                                      place.topics[i] + ", which it owns, holds " +
                                                      std::to_string(partitions_[i]->end().value) + " records, but " + directory_ +
                                                      " holds no state: restore it, or remove the pipeline's topics to start anew");
    }
    return {};
  }

  std::optional<Recovered> TakeRecovered() override { return std::exchange(recovered_, std::nullopt); }
  ReadIdRun id_run_reader() override { return IdRunFiles(runtime_.files); }

  std::vector<std::int64_t> ends() const override {
    std::vector<std::int64_t> ends;
    for (const auto& partition : partitions_) ends.push_back(partition->end().value);
    return ends;
  }

  Status CutBack(std::span<const std::int64_t> ends) override {
    for (std::size_t i = 0; i < partitions_.size(); ++i) {
      SL_TRY(partitions_[i]->TruncateTo(Offset(ends[i])));
      SL_TRY(partitions_[i]->Publish(Offset(ends[i])));
    }
    return {};
  }

  Status Append(std::size_t topic, std::span<const std::string_view> values) override {
    bus::AppendBatch batch;
    batch.encoding = bus::Encoding::kBinary;
    batch.values = values;
    const std::int64_t expected = partitions_[topic]->end().value;
    SL_ASSIGN_OR_RETURN(const bus::Appended appended, partitions_[topic]->Append(batch));
    if (appended.base.value == expected) return {};
    return Fail(ErrorKind::kInternal, directory_ + ": an owned topic has records of somebody else: expected offset " +
                                          std::to_string(expected) + ", got " + std::to_string(appended.base.value));
  }

  Status NoteActivation(const ReferenceActivation& activation) override { return journal_->NoteActivation(activation); }

  Status Commit(const CommitPoint& point) override {
    SL_TRY(MakeOutputsDurable());
    SL_TRY(journal_->Commit(point));
    return PublishOutputs(point);
  }

  Status TakeSnapshot(const Snapshot& snapshot, const IdRun& run, std::int64_t watermark) override {
    SL_TRY(MakeOutputsDurable());
    SL_TRY(journal_->TakeSnapshot(snapshot, run, watermark));
    return PublishOutputs(snapshot.point);
  }

  std::uint64_t commits() const override { return journal_->commits(); }

 private:
  Status MakeOutputsDurable() {
    SL_TRY(runtime_.failpoints.Hit("flow.commit.begin"));
    for (const auto& partition : partitions_) SL_TRY(partition->Sync());
    return runtime_.failpoints.Hit("flow.commit.outputs_durable");
  }
  Status PublishOutputs(const CommitPoint& point) {
    for (std::size_t i = 0; i < partitions_.size(); ++i) SL_TRY(partitions_[i]->Publish(Offset(point.outputs[i])));
    return runtime_.failpoints.Hit("flow.commit.published");
  }

  runtime::Runtime runtime_;
  std::string directory_;
  std::optional<Recovered> recovered_;
  std::unique_ptr<Journal> journal_;
  std::vector<std::unique_ptr<bus::OwnedPartition>> partitions_;
};

}  // namespace

Result<std::unique_ptr<CommitLog>> JournalCommitLogs::Open(const CommitPlace& place) {
  auto log = std::make_unique<JournalCommitLog>(runtime_, JournalDirectory(directory_, place.pipeline, place.partition));
  SL_TRY(log->Open(bus_, place));
  return log;
}

Result<std::optional<CommittedState>> JournalCommitLogs::Read(const CommitPlace& place) {
  SL_ASSIGN_OR_RETURN(std::optional<Recovered> recovered,
                      Journal::Read(runtime_, JournalDirectory(directory_, place.pipeline, place.partition), place.fingerprint));
  if (!recovered) return std::optional<CommittedState>();
  return CommittedState{.recovered = std::move(*recovered), .read_ids = IdRunFiles(runtime_.files)};
}

ReadIdRun IdRunFiles(runtime::FileSystem& files) {
  return [&files](const KeptIdRun& run, const std::function<Status(std::string_view)>& take) -> Status {
    SL_ASSIGN_OR_RETURN(const std::unique_ptr<runtime::File> file, files.Open(run.path, runtime::OpenMode::kRead));
    SL_ASSIGN_OR_RETURN(const std::uint64_t size, file->Size());
    if (size != run.bytes || size == 0) return DamagedRun(run.path);
    SL_ASSIGN_OR_RETURN(const std::string_view bytes, file->Map(size));
    if (Crc32c(bytes) != run.crc) return DamagedRun(run.path);
    return take(bytes);
  };
}

std::string JournalDirectory(const std::string& directory, const std::string& pipeline, Partition partition) {
  return directory + "/" + pipeline + "/" + std::to_string(partition.value);
}

}  // namespace sightline::flow
