#include "connectors/kafka/group_positions.h"

#include <librdkafka/rdkafka.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>

#include "connectors/kafka/consumer.h"
#include "connectors/kafka/partition_list_internal.h"

namespace sightline::kafka {
namespace {

using std::chrono::steady_clock;

constexpr std::chrono::milliseconds kAskAgain{50};
constexpr std::chrono::milliseconds kLook{250};   // how often a call that waits looks for a refusal
constexpr std::chrono::seconds kRefusalStands{1};  // how long a refusal from before may turn out to be over

// The coordinator is another broker now, is not ready yet, or holds positions of a transaction that is open.
bool PassesSoon(rd_kafka_resp_err_t code) {
  switch (code) {
    case RD_KAFKA_RESP_ERR_NOT_COORDINATOR:
    case RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS:
    case RD_KAFKA_RESP_ERR_UNSTABLE_OFFSET_COMMIT:
    case RD_KAFKA_RESP_ERR__WAIT_COORD:
    case RD_KAFKA_RESP_ERR__TRANSPORT: return true;
    default: return false;
  }
}

rd_kafka_resp_err_t FirstError(rd_kafka_resp_err_t code, const rd_kafka_topic_partition_list_t* partitions) {
  for (int i = 0; code == RD_KAFKA_RESP_ERR_NO_ERROR && partitions != nullptr && i < partitions->cnt; ++i) code = partitions->elems[i].err;
  return code;
}

using Queue = std::unique_ptr<rd_kafka_queue_t, void (*)(rd_kafka_queue_t*)>;
using Event = std::unique_ptr<rd_kafka_event_t, void (*)(rd_kafka_event_t*)>;

Event Poll(const Queue& queue, std::chrono::milliseconds timeout) {
  return {rd_kafka_queue_poll(queue.get(), static_cast<int>(timeout.count())), &rd_kafka_event_destroy};
}

std::chrono::milliseconds Left(steady_clock::time_point until) {
  return std::max(std::chrono::milliseconds(1), std::chrono::duration_cast<std::chrono::milliseconds>(until - steady_clock::now()));
}

}  // namespace

class GroupPositions::Client {
 public:
  explicit Client(std::shared_ptr<Handle> handle)
      : handle_(std::move(handle)), refusals_(rd_kafka_queue_get_consumer(handle_->get()), &rd_kafka_queue_destroy) {}

  // Calls until it works, fails for good, is refused, or the time is up.
  template <typename Call>
  Status Repeat(const std::string& what, Call call) {
    const auto begun = steady_clock::now();
    const auto give_up = begun + handle_->options().request_timeout;
    for (;;) {
      rd_kafka_resp_err_t code = call(give_up);
      if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        refused_ = code;
        handle_->NoteSuccess();
        return {};
      }
      if (Refused(begun)) code = refused_.load();
      const bool again = PassesSoon(code) || code == RD_KAFKA_RESP_ERR__TIMED_OUT;
      if (!again || steady_clock::now() + kAskAgain > give_up) return std::unexpected(handle_->Explain(code, what));
      std::this_thread::sleep_for(kAskAgain);
    }
  }

  rd_kafka_resp_err_t Ask(const PartitionList& found, steady_clock::time_point give_up) {
    const auto timeout = std::min(kLook, Left(give_up));
    return FirstError(rd_kafka_committed(handle_->get(), found.get(), static_cast<int>(timeout.count())), found.get());
  }

  // One request: while it waits for a coordinator, a second would wait behind it.
  rd_kafka_resp_err_t Commit(const PartitionList& offsets, steady_clock::time_point give_up) {
    const auto begun = steady_clock::now();
    const Queue queue(rd_kafka_queue_new(handle_->get()), &rd_kafka_queue_destroy);
    const rd_kafka_resp_err_t code = rd_kafka_commit_queue(handle_->get(), offsets.get(), queue.get(), nullptr, nullptr);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return code;
    while (steady_clock::now() < give_up && !Refused(begun)) {
      if (const Event done = Poll(queue, std::min(kLook, Left(give_up))); done != nullptr) {
        return FirstError(rd_kafka_event_error(done.get()), rd_kafka_event_topic_partition_list(done.get()));
      }
    }
    return RD_KAFKA_RESP_ERR__TIMED_OUT;
  }

 private:
  // The client looks for its coordinator on its own; that this was refused it says once, to whoever reads its messages.
  bool Refused(steady_clock::time_point begun) {
    while (const Event event = Poll(refusals_, std::chrono::milliseconds(0))) {
      const rd_kafka_resp_err_t code = rd_kafka_event_error(event.get());
      if (KindOf(code) == ErrorKind::kPermissionDenied || KindOf(code) == ErrorKind::kUnauthenticated) refused_ = code;
    }
    return refused_.load() != RD_KAFKA_RESP_ERR_NO_ERROR && steady_clock::now() - begun > kRefusalStands;
  }

  const std::shared_ptr<Handle> handle_;
  const Queue refusals_;
  std::atomic<rd_kafka_resp_err_t> refused_ = RD_KAFKA_RESP_ERR_NO_ERROR;  // since something last worked
};

Result<std::shared_ptr<GroupPositions::Client>> GroupPositions::ClientOf(const std::string& group) {
  const std::lock_guard lock(mutex_);
  std::shared_ptr<Client>& client = clients_[group];
  if (client == nullptr) {
    Settings settings = SettingsOf(ConsumerOptions());
    settings.emplace_back("group.id", group);
    // How long a commit waits for a coordinator.
    settings.emplace_back("session.timeout.ms", std::to_string(client_.request_timeout.count()));
    settings.emplace_back("heartbeat.interval.ms", "1000");
    SL_ASSIGN_OR_RETURN(std::shared_ptr<Handle> handle,
                        Handle::Make(client_, Handle::Role::kConsumer, Handle::Serving::kThread, settings, {}));
    client = std::make_shared<Client>(std::move(handle));
  }
  return client;
}

Result<std::vector<GroupOffset>> GroupPositions::Committed(const std::string& group, std::span<const TopicPartition> partitions) {
  SL_ASSIGN_OR_RETURN(const std::shared_ptr<Client> client, ClientOf(group));
  const PartitionList found(partitions, RD_KAFKA_OFFSET_INVALID);
  SL_TRY(client->Repeat("asking for the positions of group " + group, [&](auto give_up) { return client->Ask(found, give_up); }));
  std::vector<GroupOffset> offsets;
  for (const rd_kafka_topic_partition_t& element : found.elements()) {
    if (element.offset < 0) continue;
    offsets.push_back({PartitionOf(element), Offset(element.offset),
                       std::string(static_cast<const char*>(element.metadata), element.metadata == nullptr ? 0 : element.metadata_size)});
  }
  return offsets;
}

Status GroupPositions::Commit(const std::string& group, std::span<const GroupOffset> offsets) {
  SL_ASSIGN_OR_RETURN(const std::shared_ptr<Client> client, ClientOf(group));
  const PartitionList list(offsets);
  return client->Repeat("committing positions of group " + group, [&](auto give_up) { return client->Commit(list, give_up); });
}

}  // namespace sightline::kafka
