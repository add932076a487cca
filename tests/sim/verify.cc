#include "tests/sim/verify.h"

#include <algorithm>
#include <set>

#include "sightline/base/bytes.h"
#include "sightline/flow/testing/fixture.h"
#include "sightline/model/dead_letter.h"
#include "sightline/model/result.h"

namespace sightline::sim {
namespace {

// Where two records part, and what the headers of results say there (docs/formats/result.md).
std::string Describe(const std::string& is, const std::string& expected) {
  const auto parts = std::ranges::mismatch(is, expected);
  const auto header = [](const std::string& record) {
    if (record.size() < 48) return std::string("short");
    const auto number = [&](std::size_t at) { return std::to_string(LoadLe<std::int64_t>(record.data() + at)); };
    return std::string(1, static_cast<char>('0' + record[2])) + " revision " + std::to_string(LoadLe<std::uint32_t>(record.data() + 4)) +
           " window " + number(16) + " to " + number(24) + " reference " + number(32) + " rows " +
           std::to_string(LoadLe<std::uint32_t>(record.data() + 40));
  };
  return "byte " + std::to_string(parts.in1 - is.begin()) + "; " + header(is) + "; expected " + header(expected);
}

std::string At(const std::string& topic, std::int32_t partition) { return topic + "/" + std::to_string(partition); }

}  // namespace

const flow::PipelinePlan& Verification::PlanOf(const char* pipeline) const {
  return scenario_.plan().pipelines[static_cast<std::size_t>(scenario_.plan().Find(pipeline))];
}

void Verification::Run(const Producers& producers, const Sinks& sinks, const std::vector<Follower>& inputs) {
  CheckPosts(producers.posts(), inputs);
  CheckSinks(sinks);
  for (const Post& post : producers.posts()) {
    for (const Offered& record : post.records) offered_.emplace(record.value, &record);
  }
  for (std::int32_t p = 0; p < scenario_.partitions && !checks_.over(); ++p) {
    CheckPartition(p, inputs[static_cast<std::size_t>(p)], sinks);
  }
  if (!checks_.over()) CheckOverall(sinks);
}

// Each record of each post is in the log once; where its answer said, in the order of its producer.
void Verification::CheckPosts(const std::vector<Post>& posts, const std::vector<Follower>& inputs) {
  std::map<std::string_view, std::int64_t> places;
  for (const Follower& input : inputs) {
    for (std::size_t i = 0; i < input.seen().size(); ++i) {
      if (input.seen()[i].type == bus::BatchType::kTick) continue;
      const auto [there, fresh] = places.emplace(input.seen()[i].value, static_cast<std::int64_t>(i));
      if (fresh) continue;
      return checks_.Violated("doubled", At(kDataset, input.from().partition.value) + " has one record at the offsets " +
                                             std::to_string(there->second) + " and " + std::to_string(i) + ": " + input.seen()[i].value);
    }
  }
  std::map<std::pair<std::uint64_t, std::int32_t>, std::int64_t> newest;
  for (std::size_t i = 0; i < posts.size(); ++i) {
    const Post& post = posts[i];
    if (!scenario_.fsync()) continue;
    for (std::size_t v = 0; v < post.records.size(); ++v) {
      const auto found = places.find(post.records[v].value);
      const bool there = found != places.end() && (!post.base || found->second == *post.base + static_cast<std::int64_t>(v));
      if (there) continue;
      return checks_.Violated("acknowledged", "record " + std::to_string(v) + " of post " + std::to_string(i) + ", acknowledged " +
                                                  (post.base ? "at " + std::to_string(*post.base) + " " : "") + "in " +
                                                  At(kDataset, post.partition.value) +
                                                  (found == places.end() ? ", is lost" : ", it is at " + std::to_string(found->second)));
    }
    if (post.producer == 0) continue;
    auto& before = newest[{post.producer, post.partition.value}];
    if (post.base.value_or(before) < before) {
      return checks_.Violated(
          "order", "post " + std::to_string(i) + " of producer " + std::to_string(post.producer) + " overtook the one before it");
    }
    before = post.base.value_or(before);
  }
}

void Verification::CheckSinks(const Sinks& sinks) {
  for (const Sinks::Sink& sink : sinks.sinks()) {
    const auto& seen = sink.follower.seen();
    const std::string where = At(sink.follower.from().topic, sink.follower.from().partition.value);
    if (sink.rows.size() != seen.size()) {
      return checks_.Violated("sink", "the sink of " + where + " has " + std::to_string(sink.rows.size()) + " records, the topic " +
                                          std::to_string(seen.size()));
    }
    for (std::size_t i = 0; i < seen.size(); ++i) {
      if (sink.rows[i] != seen[i].value)
        return checks_.Violated("sink", "the sink of " + where + " has another record at offset " + std::to_string(i));
    }
    const auto info = world_.bus->Describe(sink.follower.from().topic);
    const auto& partition = info->partitions[static_cast<std::size_t>(sink.follower.from().partition.value)];
    if (partition.visible.value != static_cast<std::int64_t>(seen.size()) || partition.end != partition.visible) {
      return checks_.Violated("sink", where + " ends at " + std::to_string(partition.end.value) + ", visible are " +
                                          std::to_string(partition.visible.value) + ", read were " + std::to_string(seen.size()));
    }
  }
}

void Verification::CheckPartition(std::int32_t partition, const Follower& input, const Sinks& sinks) {
  const Undisturbed undisturbed = RunUndisturbed(partition, input.seen());
  const flow::Plan& plan = scenario_.plan();
  std::size_t member = 0;
  for (const flow::PipelinePlan& pipeline : plan.pipelines) {
    if (pipeline.root != plan.Find("item_counts")) continue;
    const std::string topic = flow::Plan::ResultsTopic(pipeline.name);
    CheckSame("results", topic, undisturbed.results[member++], *sinks.Find(topic, partition));
  }
  const std::string dead_letters = flow::Plan::DeadLetterTopic("item_counts");
  CheckSame("dead letters", dead_letters, undisturbed.dead_letters, *sinks.Find(dead_letters, partition));
  if (!checks_.over()) CheckCounts(partition, input.seen(), undisturbed);
  if (!checks_.over()) CheckModel(partition, input.seen(), sinks);
}

void Verification::CheckSame(const std::string& check, const std::string& topic, const std::vector<std::string>& expected,
                             const Sinks::Sink& sink) {
  const auto& seen = sink.follower.seen();
  const std::string where = At(topic, sink.follower.from().partition.value);
  for (std::size_t i = 0; i < std::min(expected.size(), seen.size()); ++i) {
    if (expected[i] == seen[i].value) continue;
    return checks_.Violated(check, where + ": the record at offset " + std::to_string(i) +
                                       " is not that of an undisturbed run over the same log: " + Describe(seen[i].value, expected[i]));
  }
  if (expected.size() == seen.size()) return;
  checks_.Violated(check, where + " has " + std::to_string(seen.size()) + " records, an undisturbed run over the same log makes " +
                              std::to_string(expected.size()));
}

// The processor alone over the final log, in other batches, with the references where they were taken up.
Verification::Undisturbed Verification::RunUndisturbed(std::int32_t partition, const std::vector<SeenRecord>& log) {
  const flow::Plan& plan = scenario_.plan();
  flow::Processor processor(plan, plan.Find("item_counts"), {.seed = 1, .live = nullptr, .only = {}});
  gate::Decoder decoder(scenario_.system->contract, {});
  gate::Decoded decoded;
  Undisturbed made;
  made.results.resize(processor.members().size());
  const auto& activations = world_.activations(partition);
  std::size_t activation = 0;
  const std::size_t piece = 1 + random_.Below(50);
  const auto drain = [&](flow::EncodedRecords& from, std::vector<std::string>& to) {
    for (std::size_t i = 0; i < from.size(); ++i) to.emplace_back(from.at(i));
    from.Clear();
  };
  for (std::size_t at = 0; at < log.size();) {
    for (; activation < activations.size() && activations[activation].input <= static_cast<std::int64_t>(at); ++activation) {
      auto table = world_.LoadReference(activations[activation].version);
      if (table) {
        processor.Activate(std::move(*table));
      } else {
        checks_.Violated("recovery",
                         "version " + std::to_string(activations[activation].version) + " of the reference took effect, and is gone");
      }
    }
    const SeenRecord& first = log[at];
    std::size_t end = at + 1;
    if (first.type == bus::BatchType::kTick) {
      processor.Tick(AppendTime(first.append_time));
    } else {
      const auto next = activation < activations.size() ? static_cast<std::size_t>(activations[activation].input) : log.size();
      std::vector<std::string_view> values = {first.value};
      for (; end < std::min({log.size(), next, at + piece}) && log[end].type == first.type && log[end].append_time == first.append_time;
           ++end) {
        values.push_back(log[end].value);
      }
      decoder.DecodeRecords(first.encoding, values, decoded);
      processor.Process({.decoded = &decoded,
                         .topic = kDataset,
                         .partition = Partition(partition),
                         .base = Offset(static_cast<std::int64_t>(at)),
                         .append_time = AppendTime(first.append_time),
                         .encoding = static_cast<RecordEncoding>(first.encoding)});
    }
    at = end;
    for (std::size_t m = 0; m < made.results.size(); ++m) drain(processor.outputs()[m].results, made.results[m]);
    drain(processor.dead_letters(), made.dead_letters);
  }
  made.counters = processor.counters();
  made.members = processor.outputs();
  return made;
}

// The accounting identity, and the counts of an undisturbed run.
void Verification::CheckCounts(std::int32_t partition, const std::vector<SeenRecord>& log, const Undisturbed& undisturbed) {
  const flow::TaskStatus status = world_.StatusOf(static_cast<std::size_t>(partition));
  const std::string where = "item_counts/" + std::to_string(partition);
  const auto records = static_cast<std::uint64_t>(std::ranges::count(log, bus::BatchType::kData, &SeenRecord::type));
  if (status.counters.in() != records) {
    return checks_.Violated(
        "accounting", where + " counts " + std::to_string(status.counters.in()) + " records in, its log has " + std::to_string(records));
  }
  for (std::size_t v = 0; v < kVerdicts; ++v) {
    if (status.counters.verdicts[v] == undisturbed.counters.verdicts[v]) continue;
    return checks_.Violated("accounting", where + " counts " + std::to_string(status.counters.verdicts[v]) + " " +
                                              std::string(kVerdictNames[v]) + ", an undisturbed run " +
                                              std::to_string(undisturbed.counters.verdicts[v]));
  }
  const bool rest = status.counters.partially_late == undisturbed.counters.partially_late &&
                    status.counters.unknown_reference == undisturbed.counters.unknown_reference &&
                    status.counters.extra_fields == undisturbed.counters.extra_fields;
  if (!rest) return checks_.Violated("accounting", where + ": partially late, unknown or extra fields are not those of an undisturbed run");
  for (std::size_t m = 0; m < status.members.size(); ++m) {
    const flow::MemberOutput& is = status.members[m];
    const flow::MemberOutput& expected = undisturbed.members[m];
    if (is.rows_in == expected.rows_in && is.rows_filtered == expected.rows_filtered && is.rows_out == expected.rows_out) continue;
    return checks_.Violated("accounting", where + ": the rows of " + status.member_names[m] + " are " + std::to_string(is.rows_out) +
                                              ", of an undisturbed run " + std::to_string(expected.rows_out));
  }
}

}  // namespace sightline::sim
