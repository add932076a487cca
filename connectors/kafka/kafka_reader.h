#pragma once

#include <memory>

#include "connectors/kafka/admin.h"
#include "connectors/kafka/consumer.h"
#include "connectors/kafka/wakers.h"

namespace sightline::kafka {

// Reads one partition. `Next` gives nothing only at the end as far as this process knows it: what was acknowledged to this process, or told
// by Describe, is waited for.
class KafkaReader final : public bus::Reader {
 public:
  // kOutOfRange when `at` lies outside what is there.
  static Result<std::unique_ptr<KafkaReader>> Open(ConsumerPool& pool, Admin& admin, const TopicPartition& full_name,
                                                   std::shared_ptr<PartitionState> state, Offset at);
  KafkaReader(const KafkaReader&) = delete;
  KafkaReader& operator=(const KafkaReader&) = delete;
  ~KafkaReader() override;

  Result<std::optional<bus::Batch>> Next() override;
  Offset position() const override { return partition_->records().position(); }
  Status Seek(Offset offset, std::optional<Epoch> epoch) override;

 private:
  KafkaReader(Admin& admin, TopicPartition name, std::shared_ptr<PartitionState> state)
      : admin_(admin), name_(std::move(name)), state_(std::move(state)) {}
  Status CheckPosition(Offset at);

  Admin& admin_;
  const TopicPartition name_;
  std::shared_ptr<PartitionState> state_;
  std::unique_ptr<ConsumerPool::Partition> partition_;
  std::int64_t waived_end_ = 0;  // up to here the broker was asked, and held nothing readable
};

}  // namespace sightline::kafka
