#include "connectors/kafka/kafka_reader.h"

namespace sightline::kafka {
namespace {

constexpr std::chrono::milliseconds kWait{10};
constexpr std::chrono::milliseconds kAskAfter{150};  // longer than a fetch: the broker is asked what there is

}  // namespace

Result<std::unique_ptr<KafkaReader>> KafkaReader::Open(ConsumerPool& pool, Admin& admin, const TopicPartition& full_name,
                                                       std::shared_ptr<PartitionState> state, Offset at) {
  std::unique_ptr<KafkaReader> reader(new KafkaReader(admin, full_name, state));
  SL_TRY(reader->CheckPosition(at));
  SL_ASSIGN_OR_RETURN(reader->partition_, pool.Open(full_name, at, [raw = state.get()] { raw->Wake(); }));
  state->AddReader();
  return reader;
}

KafkaReader::~KafkaReader() {
  if (partition_ != nullptr) state_->RemoveReader();
}

Status KafkaReader::CheckPosition(Offset at) {
  const std::vector<TopicPartition> one = {name_};
  SL_ASSIGN_OR_RETURN(const std::vector<Offset> start, admin_.Starts(one));
  SL_ASSIGN_OR_RETURN(const std::vector<Offset> end, admin_.Ends(one, Isolation::kUncommitted));
  SL_ASSIGN_OR_RETURN(const std::vector<Offset> visible, admin_.Ends(one, Isolation::kCommitted));
  if (state_->LearnEnd(visible[0].value)) state_->Wake();
  const std::string where = "topic " + name_.topic + " partition " + std::to_string(name_.partition.value);
  if (at < start[0]) {
    return Fail(ErrorKind::kOutOfRange, where + " begins at offset " + std::to_string(start[0].value) + "; offset " +
                                            std::to_string(at.value) + " was removed by retention, " + std::to_string(start[0] - at) +
                                            " records are lost to this reader");
  }
  if (at > end[0]) {
    return Fail(ErrorKind::kOutOfRange, where + " ends at offset " + std::to_string(end[0].value) + ", before offset " +
                                            std::to_string(at.value) + ": " + std::to_string(at - end[0]) +
                                            " records are lost, or the topic was deleted and made anew");
  }
  return {};
}

Result<std::optional<bus::Batch>> KafkaReader::Next() {
  std::chrono::steady_clock::time_point began{};
  auto asked = began;
  for (std::chrono::milliseconds wait{0};; wait = kWait) {
    SL_ASSIGN_OR_RETURN(RecordReader::Polled polled, partition_->records().Poll(wait));
    if (polled.batch) return std::move(polled.batch);
    const std::int64_t known = state_->known_end();
    if (position().value >= known || known <= waived_end_) return std::nullopt;
    const auto now = std::chrono::steady_clock::now();
    if (began == std::chrono::steady_clock::time_point{}) began = asked = now;
    if (now - asked < kAskAfter) continue;
    asked = now;
    // A transaction that is open, or its marker, may be all that lies there.
    const auto visible = admin_.Ends({&name_, 1}, Isolation::kCommitted);
    if (visible && position() >= (*visible)[0]) {
      waived_end_ = known;
      return std::nullopt;
    }
    if (!visible || now - began > admin_.handle()->options().request_timeout) {
      const std::string what =
          "reading " + name_.topic + "/" + std::to_string(name_.partition.value) + " at offset " + std::to_string(position().value);
      if (!visible) return std::unexpected(Error(visible.error()).In(what));
      Error error = admin_.handle()->Explain(-185, what);  // timed out
      error.kind = ErrorKind::kUnavailable;
      return std::unexpected(std::move(error));
    }
  }
}

Status KafkaReader::Seek(Offset offset, std::optional<Epoch>) {
  SL_TRY(CheckPosition(offset));
  return partition_->Seek(offset);
}

}  // namespace sightline::kafka
