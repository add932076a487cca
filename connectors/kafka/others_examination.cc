#include <algorithm>

#include "connectors/kafka/consumer.h"
#include "connectors/kafka/examination.h"
#include "sightline/base/glob.h"

namespace sightline::kafka {
namespace {

using State = Looked::State;

constexpr std::size_t kTopicsMax = 20;  // whose settings are looked at
constexpr std::chrono::milliseconds kReading{2'000};

std::string ValueOf(const TopicConfigs& configs, std::string_view name) {
  const auto found = configs.find(name);
  return found == configs.end() ? std::string() : found->second.value;
}

// Whether a record may be read, if one is there.
Status TryToRead(const ClientOptions& client, Admin& admin, const std::string& topic) {
  const std::vector<TopicPartition> first = {{topic, Partition(0)}};
  SL_ASSIGN_OR_RETURN(const std::vector<Offset> starts, admin.Starts(first));
  ConsumerPool pool(client, {});
  SL_ASSIGN_OR_RETURN(const std::unique_ptr<ConsumerPool::Partition> reading, pool.Open(first.front(), starts.front(), {}));
  SL_TRY(reading->records().Poll(kReading));
  return {};
}

}  // namespace

std::vector<Looked> ExamineOthers(const KafkaBusOptions& options, const std::string& from) {
  ClientOptions client = options.client;
  client.log = [](LogLevel, std::string_view) {};
  auto made = Admin::Make(client);
  if (!made || !(*made)->Reach(options.connect_timeout)) return {};
  Admin& admin = **made;
  const std::string name = "kafka gate " + from;
  const auto cluster = admin.Cluster();
  if (!cluster) return {{name, State::kProblem, cluster.error().message, ""}};
  std::vector<std::string> topics;
  std::size_t partitions = 0;
  for (const auto& [topic, its] : cluster->topics) {
    if (!MatchesGlob(from, topic)) continue;
    topics.push_back(topic);
    partitions += its.size();
  }
  if (topics.empty()) {
    return {{name, State::kWarning, "no such topic is there, or none that this user may see",
             "it is found when it comes; check the name, and that the user has Describe and Read on it"}};
  }
  std::vector<Looked> looked;
  for (std::size_t i = 0; i < std::min(topics.size(), kTopicsMax); ++i) {
    const auto configs = admin.DescribeTopic(topics[i]);
    if (!configs) continue;  // a right that a gate does without
    if (ValueOf(*configs, "message.timestamp.type") == "CreateTime") {
      looked.push_back({name, State::kWarning,
                        topics[i] + " carries its producers' clocks as time of arrival (message.timestamp.type=CreateTime)",
                        "set message.timestamp.type=LogAppendTime on it"});
    }
    if (ValueOf(*configs, "cleanup.policy").find("compact") != std::string::npos) {
      looked.push_back({name, State::kWarning, topics[i] + " is compacted: of records with the same key the last one alone may be left",
                        "have its producers write to a topic with cleanup.policy=delete"});
    }
  }
  if (const Status read = TryToRead(client, admin, topics.front()); !read) {
    const std::string& message = read.error().message;
    const std::size_t cut = message.rfind("; ");
    looked.push_back({name, State::kProblem, message.substr(0, cut), cut == std::string::npos ? "" : message.substr(cut + 2)});
  }
  if (looked.empty())
    looked.push_back({name, State::kGood, std::to_string(topics.size()) + " topics, " + std::to_string(partitions) + " partitions", ""});
  return looked;
}

}  // namespace sightline::kafka
