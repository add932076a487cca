#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "connectors/kafka/kafka_bus.h"
#include "connectors/kafka/transaction.h"

namespace sightline::kafka {

// Puts records of another bus into topics of this one as they were there: type, encoding and key stay, and the append time, in a header.
//
// They go in transactions of one transactional id. Who opens a copier of the same name fences the one before: what that one had under way
// is never seen, so that what a topic holds when Open has returned is all that it will hold of it. After an error the copier is dead. Not
// thread-safe.
class RecordCopier {
 public:
  struct Record {
    bus::BatchType type = bus::BatchType::kData;
    bus::Encoding encoding = bus::Encoding::kJson;
    AppendTime time;
    std::string_view value;
    std::optional<std::string_view> key = std::nullopt;
  };

  // `bus` must outlive it.
  static Result<std::unique_ptr<RecordCopier>> Open(KafkaBus& bus, const std::string& name);
  RecordCopier(const RecordCopier&) = delete;
  RecordCopier& operator=(const RecordCopier&) = delete;

  // Puts a copy of the record behind those before it, unseen until Commit. kInvalidArgument when it is larger than the broker takes.
  Status Put(const TopicPartition& to, const Record& record);
  // What was put since the last call is seen, all of it.
  Status Commit();

 private:
  explicit RecordCopier(KafkaBus& bus) : bus_(bus) {}

  KafkaBus& bus_;
  std::unique_ptr<TransactionalProducer> producer_;
  bool begun_ = false;
};

}  // namespace sightline::kafka
