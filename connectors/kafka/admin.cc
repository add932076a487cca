#include "connectors/kafka/admin.h"

#include <librdkafka/rdkafka.h>

#include <algorithm>
#include <array>
#include <thread>

#include "connectors/kafka/partition_list_internal.h"

namespace sightline::kafka {
namespace {

constexpr std::size_t kTextBytes = 512;
constexpr std::chrono::milliseconds kAskAgain{20};
constexpr std::chrono::milliseconds kLeaderWithin{10'000};

// One admin request and its answer.
class Request {
 public:
  Request(const Handle& handle, rd_kafka_admin_op_t op) : handle_(handle), queue_(rd_kafka_queue_new(handle.get())) {
    options_ = rd_kafka_AdminOptions_new(handle.get(), op);
    char text[kTextBytes];
    const int timeout = static_cast<int>(handle.options().request_timeout.count());
    rd_kafka_AdminOptions_set_request_timeout(options_, timeout, text, sizeof(text));
    if (op == RD_KAFKA_ADMIN_OP_CREATETOPICS || op == RD_KAFKA_ADMIN_OP_DELETETOPICS) {
      rd_kafka_AdminOptions_set_operation_timeout(options_, timeout, text, sizeof(text));
    }
  }
  Request(const Request&) = delete;
  Request& operator=(const Request&) = delete;
  ~Request() {
    if (event_ != nullptr) rd_kafka_event_destroy(event_);
    rd_kafka_AdminOptions_destroy(options_);
    rd_kafka_queue_destroy(queue_);
  }

  rd_kafka_AdminOptions_t* options() const { return options_; }
  rd_kafka_queue_t* queue() const { return queue_; }
  // The answer, or why there is none.
  Result<rd_kafka_event_t*> Wait(std::string_view what) {
    event_ = rd_kafka_queue_poll(queue_, static_cast<int>(handle_.options().request_timeout.count()) + 1000);
    if (event_ == nullptr) return std::unexpected(handle_.Explain(RD_KAFKA_RESP_ERR__TIMED_OUT, what));
    if (const rd_kafka_resp_err_t code = rd_kafka_event_error(event_); code != RD_KAFKA_RESP_ERR_NO_ERROR) {
      return std::unexpected(handle_.Explain(code, what, rd_kafka_event_error_string(event_)));
    }
    return event_;
  }

 private:
  const Handle& handle_;
  rd_kafka_queue_t* queue_;
  rd_kafka_AdminOptions_t* options_ = nullptr;
  rd_kafka_event_t* event_ = nullptr;
};

Status TopicResult(const Handle& handle, const rd_kafka_topic_result_t* result, std::string_view what) {
  const rd_kafka_resp_err_t code = rd_kafka_topic_result_error(result);
  if (code == RD_KAFKA_RESP_ERR_NO_ERROR) return {};
  const char* text = rd_kafka_topic_result_error_string(result);
  return std::unexpected(handle.Explain(code, what, text == nullptr ? "" : text));
}

Status GroupResult(const Handle& handle, const rd_kafka_group_result_t* result, std::string_view what) {
  if (const rd_kafka_error_t* error = rd_kafka_group_result_error(result); error != nullptr) {
    return std::unexpected(handle.Explain(rd_kafka_error_code(error), what, rd_kafka_error_string(error)));
  }
  const rd_kafka_topic_partition_list_t* partitions = rd_kafka_group_result_partitions(result);
  for (int i = 0; partitions != nullptr && i < partitions->cnt; ++i) {
    const rd_kafka_topic_partition_t& partition = partitions->elems[i];
    if (partition.err != RD_KAFKA_RESP_ERR_NO_ERROR) {
      return std::unexpected(
          handle.Explain(partition.err, std::string(what) + ", " + partition.topic + "/" + std::to_string(partition.partition)));
    }
  }
  return {};
}

// Who was asked does not lead the partition, or not yet.
bool IsOfLeader(rd_kafka_resp_err_t code) {
  return code == RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION || code == RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE ||
         code == RD_KAFKA_RESP_ERR_FENCED_LEADER_EPOCH || code == RD_KAFKA_RESP_ERR_UNKNOWN_LEADER_EPOCH ||
         code == RD_KAFKA_RESP_ERR_OFFSET_NOT_AVAILABLE;
}

Result<std::vector<Offset>> AskForOffsets(const Handle& handle, rd_kafka_t* client, std::span<const TopicPartition> partitions,
                                          std::int64_t time, rd_kafka_resp_err_t& code) {
  const PartitionList list(partitions, time);
  code = rd_kafka_offsets_for_times(client, list.get(), static_cast<int>(handle.options().request_timeout.count()));
  const std::string what = "asking for offsets of " + partitions.front().topic;
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return std::unexpected(handle.Explain(code, what));
  std::vector<Offset> offsets;
  for (const rd_kafka_topic_partition_t& element : list.elements()) {
    code = element.err;
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return std::unexpected(handle.Explain(code, what + "/" + std::to_string(element.partition)));
    offsets.emplace_back(element.offset);
  }
  return offsets;
}

}  // namespace

Result<std::unique_ptr<Admin>> Admin::Make(const ClientOptions& client) {
  std::unique_ptr<Admin> admin(new Admin());
  ConsumerOptions all;
  all.isolation = Isolation::kUncommitted;
  SL_ASSIGN_OR_RETURN(admin->handle_, Handle::Make(client, Handle::Role::kConsumer, Handle::Serving::kThread, SettingsOf(all), {}));
  SL_ASSIGN_OR_RETURN(admin->committed_,
                      Handle::Make(client, Handle::Role::kConsumer, Handle::Serving::kThread, SettingsOf(ConsumerOptions()), {}));
  return admin;
}

Result<ClusterInfo> Admin::Cluster(const std::optional<std::string>& topic) {
  std::shared_ptr<rd_kafka_topic_t> one;
  if (topic) one = {rd_kafka_topic_new(handle_->get(), topic->c_str(), nullptr), &rd_kafka_topic_destroy};
  const struct rd_kafka_metadata* metadata = nullptr;
  const rd_kafka_resp_err_t code =
      rd_kafka_metadata(handle_->get(), topic ? 0 : 1, one.get(), &metadata, static_cast<int>(handle_->options().request_timeout.count()));
  const std::string what = topic ? "asking for topic " + *topic : std::string("asking for the topics");
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return std::unexpected(handle_->Explain(code, what));
  const std::shared_ptr<const struct rd_kafka_metadata> owned(metadata, &rd_kafka_metadata_destroy);
  ClusterInfo info;
  for (int i = 0; i < metadata->broker_cnt; ++i) {
    const rd_kafka_metadata_broker& broker = metadata->brokers[i];
    info.brokers.push_back({broker.id, std::string(broker.host) + ":" + std::to_string(broker.port)});
  }
  for (int i = 0; i < metadata->topic_cnt; ++i) {
    const rd_kafka_metadata_topic& found = metadata->topics[i];
    if (found.err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) continue;
    if (found.err != RD_KAFKA_RESP_ERR_NO_ERROR && topic) return std::unexpected(handle_->Explain(found.err, what));
    std::vector<PartitionLeader>& partitions = info.topics[found.topic];
    partitions.resize(static_cast<std::size_t>(found.partition_cnt));
    for (int p = 0; p < found.partition_cnt; ++p) {
      const rd_kafka_metadata_partition& partition = found.partitions[p];
      if (partition.id < 0 || partition.id >= found.partition_cnt) continue;
      partitions[static_cast<std::size_t>(partition.id)] = {partition.leader, partition.replica_cnt, partition.isr_cnt};
    }
  }
  return info;
}

Result<std::string> Admin::ClusterId() {
  char* id = rd_kafka_clusterid(handle_->get(), static_cast<int>(handle_->options().request_timeout.count()));
  if (id == nullptr) return std::unexpected(handle_->Explain(RD_KAFKA_RESP_ERR__TIMED_OUT, "asking for the cluster's id"));
  std::string text(id);
  rd_kafka_mem_free(handle_->get(), id);
  return text;
}

Status Admin::CreateTopic(const NewTopic& topic, Trial trial) {
  const std::string what = "making topic " + topic.name;
  char text[kTextBytes];
  rd_kafka_NewTopic_t* made = rd_kafka_NewTopic_new(topic.name.c_str(), topic.partitions, topic.replication, text, sizeof(text));
  if (made == nullptr) return Fail(ErrorKind::kInvalidArgument, what + ": " + text);
  for (const auto& [name, value] : topic.configs) rd_kafka_NewTopic_set_config(made, name.c_str(), value.c_str());
  Request request(*handle_, RD_KAFKA_ADMIN_OP_CREATETOPICS);
  if (trial == Trial::kYes) rd_kafka_AdminOptions_set_validate_only(request.options(), 1, text, sizeof(text));
  rd_kafka_CreateTopics(handle_->get(), &made, 1, request.options(), request.queue());
  rd_kafka_NewTopic_destroy(made);
  SL_ASSIGN_OR_RETURN(rd_kafka_event_t * event, request.Wait(what));
  std::size_t count = 0;
  const auto* results = rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &count);
  for (std::size_t i = 0; i < count; ++i) SL_TRY(TopicResult(*handle_, results[i], what));
  return {};
}

Status Admin::DeleteTopic(const std::string& topic) {
  const std::string what = "deleting topic " + topic;
  rd_kafka_DeleteTopic_t* one = rd_kafka_DeleteTopic_new(topic.c_str());
  Request request(*handle_, RD_KAFKA_ADMIN_OP_DELETETOPICS);
  rd_kafka_DeleteTopics(handle_->get(), &one, 1, request.options(), request.queue());
  rd_kafka_DeleteTopic_destroy(one);
  SL_ASSIGN_OR_RETURN(rd_kafka_event_t * event, request.Wait(what));
  std::size_t count = 0;
  const auto* results = rd_kafka_DeleteTopics_result_topics(rd_kafka_event_DeleteTopics_result(event), &count);
  for (std::size_t i = 0; i < count; ++i) SL_TRY(TopicResult(*handle_, results[i], what));
  return {};
}

Result<TopicConfigs> Admin::Describe(int resource, const std::string& name) {
  const std::string what = "asking for the settings of " + name;
  rd_kafka_ConfigResource_t* one = rd_kafka_ConfigResource_new(static_cast<rd_kafka_ResourceType_t>(resource), name.c_str());
  Request request(*handle_, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS);
  rd_kafka_DescribeConfigs(handle_->get(), &one, 1, request.options(), request.queue());
  rd_kafka_ConfigResource_destroy(one);
  SL_ASSIGN_OR_RETURN(rd_kafka_event_t * event, request.Wait(what));
  std::size_t count = 0;
  const auto* resources = rd_kafka_DescribeConfigs_result_resources(rd_kafka_event_DescribeConfigs_result(event), &count);
  TopicConfigs configs;
  for (std::size_t r = 0; r < count; ++r) {
    const rd_kafka_resp_err_t code = rd_kafka_ConfigResource_error(resources[r]);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
      const char* text = rd_kafka_ConfigResource_error_string(resources[r]);
      return std::unexpected(handle_->Explain(code, what, text == nullptr ? "" : text));
    }
    std::size_t entries = 0;
    const auto* entry = rd_kafka_ConfigResource_configs(resources[r], &entries);
    for (std::size_t i = 0; i < entries; ++i) {
      const char* value = rd_kafka_ConfigEntry_value(entry[i]);
      configs[rd_kafka_ConfigEntry_name(entry[i])] = {value == nullptr ? "" : value,
                                                      rd_kafka_ConfigEntry_source(entry[i]) == RD_KAFKA_CONFIG_SOURCE_DYNAMIC_TOPIC_CONFIG};
    }
  }
  return configs;
}

Result<TopicConfigs> Admin::DescribeTopic(const std::string& topic) { return Describe(RD_KAFKA_RESOURCE_TOPIC, topic); }
Result<TopicConfigs> Admin::DescribeBroker(std::int32_t broker) { return Describe(RD_KAFKA_RESOURCE_BROKER, std::to_string(broker)); }

Status Admin::AlterTopic(const std::string& topic, const std::map<std::string, std::string>& changes) {
  // The request replaces all that is set on the topic.
  SL_ASSIGN_OR_RETURN(const TopicConfigs there, DescribeTopic(topic));
  std::map<std::string, std::string> all;
  for (const auto& [name, config] : there) {
    if (config.set_on_topic) all[name] = config.value;
  }
  for (const auto& [name, value] : changes) all[name] = value;
  const std::string what = "changing topic " + topic;
  rd_kafka_ConfigResource_t* one = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic.c_str());
  for (const auto& [name, value] : all) rd_kafka_ConfigResource_set_config(one, name.c_str(), value.c_str());
  Request request(*handle_, RD_KAFKA_ADMIN_OP_ALTERCONFIGS);
  rd_kafka_AlterConfigs(handle_->get(), &one, 1, request.options(), request.queue());
  rd_kafka_ConfigResource_destroy(one);
  SL_ASSIGN_OR_RETURN(rd_kafka_event_t * event, request.Wait(what));
  std::size_t count = 0;
  const auto* resources = rd_kafka_AlterConfigs_result_resources(rd_kafka_event_AlterConfigs_result(event), &count);
  for (std::size_t i = 0; i < count; ++i) {
    const rd_kafka_resp_err_t code = rd_kafka_ConfigResource_error(resources[i]);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) continue;
    const char* text = rd_kafka_ConfigResource_error_string(resources[i]);
    return std::unexpected(handle_->Explain(code, what, text == nullptr ? "" : text));
  }
  return {};
}

Status Admin::DeleteRecords(std::span<const GroupOffset> before) {
  const PartitionList list(before);
  rd_kafka_DeleteRecords_t* one = rd_kafka_DeleteRecords_new(list.get());
  Request request(*handle_, RD_KAFKA_ADMIN_OP_DELETERECORDS);
  rd_kafka_DeleteRecords(handle_->get(), &one, 1, request.options(), request.queue());
  rd_kafka_DeleteRecords_destroy(one);
  SL_ASSIGN_OR_RETURN(rd_kafka_event_t * event, request.Wait("deleting records"));
  const auto* offsets = rd_kafka_DeleteRecords_result_offsets(rd_kafka_event_DeleteRecords_result(event));
  for (int i = 0; i < offsets->cnt; ++i) {
    if (offsets->elems[i].err == RD_KAFKA_RESP_ERR_NO_ERROR) continue;
    return std::unexpected(handle_->Explain(offsets->elems[i].err, std::string("deleting records of ") + offsets->elems[i].topic));
  }
  return {};
}

// The broker's ListOffsets knows two special times: the end and the beginning.
// A partition that was just made, or whose leader went, has one again in a moment.
Result<std::vector<Offset>> Admin::ListOffsets(rd_kafka_s* client, std::span<const TopicPartition> partitions, std::int64_t time) const {
  if (partitions.empty()) return std::vector<Offset>();
  const auto give_up = std::chrono::steady_clock::now() + std::min(handle_->options().request_timeout, kLeaderWithin);
  for (;;) {
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR_NO_ERROR;
    auto offsets = AskForOffsets(*handle_, client, partitions, time, code);
    if (offsets || !IsOfLeader(code) || std::chrono::steady_clock::now() > give_up) return offsets;
    std::this_thread::sleep_for(kAskAgain);
  }
}

Result<std::vector<Offset>> Admin::Starts(std::span<const TopicPartition> partitions) {
  return ListOffsets(handle_->get(), partitions, RD_KAFKA_OFFSET_BEGINNING);
}

Result<std::vector<Offset>> Admin::Ends(std::span<const TopicPartition> partitions, Isolation isolation) {
  return ListOffsets((isolation == Isolation::kCommitted ? committed_ : handle_)->get(), partitions, RD_KAFKA_OFFSET_END);
}

Result<std::vector<Offset>> Admin::OffsetsAt(std::span<const TopicPartition> partitions, AppendTime time) {
  SL_ASSIGN_OR_RETURN(std::vector<Offset> offsets, ListOffsets(committed_->get(), partitions, time.value));
  SL_ASSIGN_OR_RETURN(const std::vector<Offset> ends, Ends(partitions, Isolation::kCommitted));
  for (std::size_t i = 0; i < offsets.size(); ++i) {
    if (offsets[i].value < 0) offsets[i] = ends[i];
  }
  return offsets;
}

Status Admin::DeleteGroup(const std::string& group) {
  const std::string what = "deleting group " + group;
  rd_kafka_DeleteGroup_t* one = rd_kafka_DeleteGroup_new(group.c_str());
  Request request(*handle_, RD_KAFKA_ADMIN_OP_DELETEGROUPS);
  rd_kafka_DeleteGroups(handle_->get(), &one, 1, request.options(), request.queue());
  rd_kafka_DeleteGroup_destroy(one);
  SL_ASSIGN_OR_RETURN(rd_kafka_event_t * event, request.Wait(what));
  std::size_t count = 0;
  const auto* groups = rd_kafka_DeleteGroups_result_groups(rd_kafka_event_DeleteGroups_result(event), &count);
  for (std::size_t g = 0; g < count; ++g) SL_TRY(GroupResult(*handle_, groups[g], what));
  return {};
}

}  // namespace sightline::kafka
