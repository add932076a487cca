#include "connectors/kafka/record_copier.h"

#include <array>

#include "connectors/kafka/record_reader.h"

namespace sightline::kafka {
namespace {

// One copier works at a time: a transaction may last, and nobody waits for it.
constexpr std::chrono::milliseconds kTransaction{60'000};

std::string_view EncodingName(bus::Encoding encoding) { return encoding == bus::Encoding::kProtobuf ? "protobuf" : "binary"; }

}  // namespace

Result<std::unique_ptr<RecordCopier>> RecordCopier::Open(KafkaBus& bus, const std::string& name) {
  std::unique_ptr<RecordCopier> copier(new RecordCopier(bus));
  SL_ASSIGN_OR_RETURN(copier->producer_, TransactionalProducer::Make(bus.options().client, {.transactional_id = bus.FullName(name),
                                                                                            .transaction_timeout = kTransaction}));
  SL_TRY(Insist(*copier->producer_, kTransaction, [&] { return copier->producer_->Init(kTransaction); }));
  return copier;
}

Status RecordCopier::Put(const TopicPartition& to, const Record& record) {
  if (!begun_) {
    SL_TRY(Insist(*producer_, kTransaction, [&] { return producer_->Begin(); }));
    begun_ = true;
  }
  const std::string time = std::to_string(record.time.value);
  std::array<RecordHeader, 3> headers;
  std::size_t count = 0;
  if (record.type == bus::BatchType::kTick) headers[count++] = {kTypeHeader, "tick"};
  if (record.type == bus::BatchType::kReplay) headers[count++] = {kTypeHeader, "replay"};
  if (record.encoding != bus::Encoding::kJson) headers[count++] = {kEncodingHeader, EncodingName(record.encoding)};
  headers[count++] = {kAppendTimeHeader, time};
  const OutRecord out{.value = record.value,
                      .null_value = record.type == bus::BatchType::kTick,
                      .key = record.key,
                      .headers = std::span<const RecordHeader>(headers).first(count)};
  const std::string topic = bus_.FullName(to.topic);
  return Insist(*producer_, kTransaction, [&] { return producer_->Produce(topic, to.partition, out); });
}

Status RecordCopier::Commit() {
  if (!begun_) return {};
  SL_TRY(Insist(*producer_, kTransaction, [&] { return producer_->Commit(kTransaction); }));
  begun_ = false;
  return {};
}

}  // namespace sightline::kafka
