#include "connectors/kafka/membership.h"

namespace sightline::kafka {
namespace {

constexpr auto kPoll = std::chrono::milliseconds(100);
constexpr auto kTroubleWait = std::chrono::milliseconds(1'000);

}  // namespace

Result<std::unique_ptr<Membership>> Membership::Join(KafkaBus& bus, const Options& options, Events events) {
  std::unique_ptr<Membership> membership(new Membership(bus.options().prefix, std::move(events)));
  Membership* self = membership.get();
  GroupConsumer::Events group;
  group.assigned = [self](std::vector<GroupConsumer::Assigned>& assigned) {
    std::vector<TopicPartition> partitions;
    for (GroupConsumer::Assigned& one : assigned) {
      one.at = Offset(0);
      partitions.push_back(one.partition);
    }
    self->events_.acquired(self->WithoutPrefix(partitions));
  };
  group.revoked = [self](const std::vector<TopicPartition>& partitions) { self->events_.released(self->WithoutPrefix(partitions), false); };
  group.lost = [self](const std::vector<TopicPartition>& partitions) { self->events_.released(self->WithoutPrefix(partitions), true); };
  GroupOptions settings;
  settings.group = bus.FullName(options.group);
  settings.session_timeout = options.session_timeout;
  settings.paused = true;
  SL_ASSIGN_OR_RETURN(membership->consumer_, GroupConsumer::Make(bus.options().client, settings, std::move(group)));
  std::vector<std::string> topics;
  for (const std::string& topic : options.topics) topics.push_back(bus.FullName(topic));
  SL_TRY(membership->consumer_->Subscribe(topics));
  membership->thread_ = std::thread([self] { self->Run(); });
  return membership;
}

Membership::~Membership() {
  stopping_ = true;
  if (thread_.joinable()) thread_.join();
}

std::vector<TopicPartition> Membership::WithoutPrefix(const std::vector<TopicPartition>& partitions) const {
  std::vector<TopicPartition> named;
  for (const TopicPartition& partition : partitions) named.push_back({partition.topic.substr(prefix_.size()), partition.partition});
  return named;
}

void Membership::Run() {
  while (!stopping_) {
    const Status polled = consumer_->Poll(kPoll);
    if (polled) continue;
    if (events_.trouble) events_.trouble(polled.error());
    for (auto waited = std::chrono::milliseconds(0); waited < kTroubleWait && !stopping_; waited += kPoll)
      std::this_thread::sleep_for(kPoll);
  }
  consumer_->Close();
}

}  // namespace sightline::kafka
