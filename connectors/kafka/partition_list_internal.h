#pragma once

#include <librdkafka/rdkafka.h>

#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "connectors/kafka/transaction.h"

namespace sightline::kafka {

inline TopicPartition PartitionOf(const rd_kafka_topic_partition_t& element) { return {element.topic, Partition(element.partition)}; }

// An rd_kafka_topic_partition_list_t that is ours.
class PartitionList {
 public:
  PartitionList() : list_(rd_kafka_topic_partition_list_new(4)) {}
  explicit PartitionList(std::span<const GroupOffset> offsets) : PartitionList() {
    for (const GroupOffset& offset : offsets) {
      rd_kafka_topic_partition_t* element = Add(offset.partition, offset.next.value);
      if (offset.metadata.empty()) continue;
      // librdkafka frees it.
      element->metadata = rd_kafka_mem_malloc(nullptr, offset.metadata.size());
      std::memcpy(element->metadata, offset.metadata.data(), offset.metadata.size());
      element->metadata_size = offset.metadata.size();
    }
  }
  PartitionList(std::span<const TopicPartition> partitions, std::int64_t offset) : PartitionList() {
    for (const TopicPartition& partition : partitions) Add(partition, offset);
  }
  PartitionList(const PartitionList&) = delete;
  PartitionList& operator=(const PartitionList&) = delete;
  ~PartitionList() { rd_kafka_topic_partition_list_destroy(list_); }

  rd_kafka_topic_partition_t* Add(const TopicPartition& partition, std::int64_t offset) {
    rd_kafka_topic_partition_t* element = rd_kafka_topic_partition_list_add(list_, partition.topic.c_str(), partition.partition.value);
    element->offset = offset;
    return element;
  }
  rd_kafka_topic_partition_list_t* get() const { return list_; }
  std::span<const rd_kafka_topic_partition_t> elements() const { return {list_->elems, static_cast<std::size_t>(list_->cnt)}; }

 private:
  rd_kafka_topic_partition_list_t* list_;
};

}  // namespace sightline::kafka
