#include "tests/sim/producers.h"

#include "sightline/base/text.h"
#include "sightline/model/partitioner.h"

namespace sightline::sim {
namespace {

constexpr std::uint64_t kSequencers = 3;
constexpr std::size_t kWindow = 3;       // posts of a sequence that may be unanswered, once the first was answered
constexpr std::size_t kRecentMax = 200;  // events that may come twice
constexpr std::array kItems = {"person", "car", "bicycle", "dog", kFilteredItem, "Übergröße", ""};

}  // namespace

Producers::Producers(World& world, const Scenario& scenario, Checks& checks, Trace& trace, runtime::Random& random)
    : world_(world),
      scenario_(scenario),
      checks_(checks),
      trace_(trace),
      random_(random),
      born_ns_(world.clock.MonotonicNs()),
      born_ms_(world.clock.Now().value) {}

Offered Producers::Valid(const flow::testing::Event& event, const std::string& mark) {
  newest_event_ = std::max(newest_event_, event.time);
  std::string line = flow::testing::Line(event);
  line.pop_back();
  return {.value = line + ",\"post\":\"" + mark + "\"}", .verdict = Verdict::kCounted, .event = event};
}

// Cameras have clocks of their own, that nobody sets.
Offered Producers::NewRecord(std::size_t post, std::size_t index, std::int64_t location) {
  const std::string mark = std::to_string(post) + "." + std::to_string(index);
  const std::string place = std::to_string(location);
  if (random_.OneIn(40)) {
    return {.value = R"({"geographical_location_oid":)" + place + R"(,"post":")" + mark + '"', .verdict = Verdict::kMalformed};
  }
  if (random_.OneIn(40)) {
    std::string text =
        R"({"geographical_location_oid":")" + place + R"(","detection_oid":1,"item_name":"x","timestamp_detected":1,"post":")";
    return {.value = text + mark + "\"}", .verdict = Verdict::kInvalid};
  }
  const std::int64_t now = born_ms_ + (world_.clock.MonotonicNs() - born_ns_) / 1'000'000;
  flow::testing::Event event{.location = location,
                             .detection = static_cast<std::int64_t>(random_.Next()),
                             .item = kItems[random_.Below(kItems.size())],
                             .time = now - static_cast<std::int64_t>(random_.Below(static_cast<std::uint64_t>(scenario_.disorder)))};
  if (random_.OneIn(25)) event.time -= static_cast<std::int64_t>(random_.Below(120'000));
  if (random_.OneIn(60)) event.time += static_cast<std::int64_t>(random_.Below(20'000));
  if (!recent_.empty() && random_.OneIn(4)) {
    // A detection belongs to one camera, so to one place.
    const flow::testing::Event& before = recent_[random_.Below(recent_.size())];
    if (before.location == location) {
      event.detection = before.detection;
      if (random_.OneIn(2)) event = before;
      return Valid(event, mark);
    }
  }
  if (recent_.size() == kRecentMax) recent_.erase(recent_.begin());
  recent_.push_back(event);
  return Valid(event, mark);
}

void Producers::Send() {
  // Sequences are for logs that do not forget what they answered.
  if (scenario_.fsync() && random_.OneIn(2)) return SendInSequence();
  SendTagged();
}

void Producers::SendInSequence() {
  const std::uint64_t producer = 1 + random_.Below(kSequencers);
  const std::int64_t location = static_cast<std::int64_t>(random_.Below(static_cast<std::uint64_t>(scenario_.locations)));
  const Partition partition = Partitioner(scenario_.partitions).OfInt64(location);
  std::vector<std::size_t> open;
  bool first_is_open = false;
  for (std::size_t i = 0; i < posts_.size(); ++i) {
    const Post& post = posts_[i];
    if (post.producer != producer || post.partition != partition || post.acknowledged) continue;
    open.push_back(i);
    first_is_open = first_is_open || post.sequence == 1;
  }
  if (open.size() >= kWindow || first_is_open || (!open.empty() && random_.OneIn(2))) {
    return Transmit(random_.OneIn(2) ? open[0] : open[random_.Below(open.size())]);
  }
  Post post;
  post.partition = partition;
  post.producer = producer;
  post.sequence = ++sequences_[{producer, post.partition.value}];
  for (std::size_t i = 0, n = 1 + random_.Below(6); i < n; ++i) {
    post.records.push_back(NewRecord(posts_.size(), i, location));
  }
  posts_.push_back(std::move(post));
  Transmit(posts_.size() - 1);
}

void Producers::SendTagged() {
  std::vector<std::size_t> open;
  for (std::size_t i = 0; i < posts_.size(); ++i) {
    if (posts_[i].tag && !posts_[i].acknowledged) open.push_back(i);
  }
  if (!open.empty() && (open.size() > 20 || random_.OneIn(3))) return Transmit(open[random_.Below(open.size())]);
  const Hash128 key{random_.Next(), random_.Next()};
  std::map<std::int32_t, Post> parts;
  for (std::size_t i = 0, n = 1 + random_.Below(8); i < n; ++i) {
    const std::int64_t location = static_cast<std::int64_t>(random_.Below(static_cast<std::uint64_t>(scenario_.locations)));
    const Partition partition = Partitioner(scenario_.partitions).OfInt64(location);
    Post& part = parts[partition.value];
    part.partition = partition;
    part.tag = bus::IdempotencyTag{.key = key, .part = static_cast<std::uint32_t>(partition.value), .digest = 7};
    part.records.push_back(NewRecord(posts_.size() + static_cast<std::size_t>(partition.value) * 1'000'000, i, location));
  }
  for (auto& [partition, part] : parts) {
    posts_.push_back(std::move(part));
    Transmit(posts_.size() - 1);
  }
}

void Producers::Transmit(std::size_t post) {
  trace_.Note("send", static_cast<std::int64_t>(post));
  if (kind_) return under_way_.push_back(post);
  if (!random_.OneIn(10)) under_way_.push_back(post);
  if (random_.OneIn(6)) under_way_.push_back(post);
}

void Producers::Deliver() {
  if (under_way_.empty()) return;
  const std::size_t at = random_.OneIn(3) ? random_.Below(under_way_.size()) : 0;
  const std::size_t post = under_way_[at];
  under_way_.erase(under_way_.begin() + static_cast<std::ptrdiff_t>(at));
  Put(post);
}

void Producers::Put(std::size_t index) {
  const Post& post = posts_[index];
  trace_.Note("deliver", static_cast<std::int64_t>(index), post.partition.value);
  trace_.Say("  producer, tag", std::to_string(post.producer) + " " + std::to_string(post.sequence));
  std::vector<std::string_view> values;
  for (const Offered& record : post.records) values.emplace_back(record.value);
  bus::AppendBatch batch;
  batch.values = values;
  batch.producer = post.producer;
  batch.sequence = post.sequence;
  batch.idempotency = post.tag;
  world_.bus->Append({kDataset, post.partition}, batch, [this, index, process = world_.process()](const Result<bus::Appended>& appended) {
    if (process == world_.process()) Answered(index, appended);
  });
}

void Producers::Answered(std::size_t index, const Result<bus::Appended>& appended) {
  Post& post = posts_[index];
  const std::string name = "post " + std::to_string(index) + " to partition " + std::to_string(post.partition.value);
  trace_.Note(appended ? "answer" : "refusal", static_cast<std::int64_t>(index),
              appended ? appended->base.value : static_cast<int>(appended.error().kind));
  const bool heard = kind_ || !random_.OneIn(6);
  if (appended) {
    if (appended->count != post.records.size()) {
      return checks_.Violated("acknowledged", name + ": " + std::to_string(post.records.size()) + " records were sent, " +
                                                  std::to_string(appended->count) + " are acknowledged");
    }
    if (scenario_.fsync() && post.base && *post.base != appended->base.value) {
      return checks_.Violated("doubled", name + " was answered with offset " + std::to_string(*post.base) + " and then with " +
                                             std::to_string(appended->base.value));
    }
    post.base = appended->base.value;
    post.acknowledged = post.acknowledged || heard;
    return;
  }
  const Error& error = appended.error();
  trace_.Say("  because", error.message);
  if (world_.without_power()) return;
  // A sequence that overtook the one before it is refused; one that is long done is there.
  if (error.kind == ErrorKind::kFailedPrecondition && post.producer != 0) return;
  if (error.kind == ErrorKind::kAlreadyExists && post.producer != 0) {
    post.acknowledged = true;
    return;
  }
  if (error.kind == ErrorKind::kCancelled) return;
  world_.Judge("acknowledged", name, error);
}

std::size_t Producers::unanswered() const {
  std::size_t count = 0;
  for (const Post& post : posts_) count += post.acknowledged ? 0 : 1;
  return count;
}

bool Producers::Settle() {
  kind_ = true;
  while (!under_way_.empty()) Deliver();
  for (std::size_t i = 0; i < posts_.size(); ++i) {
    if (!posts_[i].acknowledged) Put(i);
  }
  return unanswered() == 0;
}

}  // namespace sightline::sim
