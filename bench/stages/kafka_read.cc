// Reading a Kafka topic, what that alone costs and what decoding and deduplicating adds: kafka_read BROKERS TOPIC load|consume|read EVENTS
//   load     makes the topic and puts the lines of the file EVENTS into it; prints how many, and how many different ids the partitions have
//   consume  librdkafka merely consumes, with its own defaults, all partitions through one queue
//   read     the bus's readers, the gate's decoder, the dedupe table, all partitions by one thread
// Prints {"records","bytes","ids","seconds"}; `ids` is 0 where nobody counts them.
#include <librdkafka/rdkafka.h>

#include <array>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <fstream>
#include <mutex>
#include <stdexcept>
#include <unordered_set>

#include "connectors/kafka/kafka_bus.h"
#include "sightline/config/config.h"
#include "sightline/flow/dedupe_table.h"
#include "sightline/gate/decoder.h"
#include "sightline/runtime/posix_file_system.h"

namespace sightline::bench {
namespace {

constexpr std::int32_t kPartitions = 4;
constexpr std::size_t kBatch = 500;
constexpr std::int64_t kWithinMs = 86'400'000;
constexpr std::int64_t kOutOfOrdernessMs = 30'000;
constexpr const char* kContract = "presets/top-items/contracts/camera_events.odcs.yaml";

template <typename T>
T Must(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().ToString());
  return std::move(*result);
}
void Must(const Status& status) {
  if (!status) throw std::runtime_error(status.error().ToString());
}

struct Sum {
  std::uint64_t records = 0;
  std::uint64_t bytes = 0;
  std::uint64_t ids = 0;
  double seconds = 0;
};

governance::Contract EventsContract() {
  runtime::PosixFileSystem files;
  return Must(governance::ParseContract(Must(runtime::ReadFile(files, kContract, 1 << 20)), kContract));
}

kafka::KafkaBusOptions Options(const std::string& brokers) {
  kafka::KafkaBusOptions options;
  options.client.brokers = {brokers};
  options.policy = {.replication = 1, .min_insync = 1};
  return options;
}

Sum Load(const std::string& brokers, const std::string& topic, const char* path) {
  const auto bus = Must(kafka::KafkaBus::Open(Options(brokers)));
  Must(bus->EnsureTopic({.name = topic, .partitions = kPartitions}));
  const governance::Contract contract = EventsContract();
  const auto id = static_cast<std::size_t>(contract.schema.Find("detection_oid"));
  gate::Decoder decoder(contract, {});
  gate::Decoded decoded;
  std::array<std::unordered_set<std::int64_t>, kPartitions> ids;
  Sum sum;
  std::ifstream lines(path);
  std::mutex mutex;
  std::condition_variable changed;
  std::size_t under_way = 0;
  std::string failure;
  const auto start = std::chrono::steady_clock::now();
  for (std::int32_t next = 0; lines; next = (next + 1) % kPartitions) {
    auto values = std::make_shared<std::vector<std::string>>();
    for (std::string line; values->size() < kBatch && std::getline(lines, line);) values->push_back(std::move(line));
    if (values->empty()) break;
    auto views = std::make_shared<std::vector<std::string_view>>(values->begin(), values->end());
    decoder.DecodeRecords(bus::Encoding::kJson, *views, decoded);
    for (std::size_t row = 0; row < decoded.rows.rows; ++row)
      ids[static_cast<std::size_t>(next)].insert(decoded.rows.columns[id].int64s[row]);
    for (const std::string_view value : *views) sum.bytes += value.size();
    sum.records += values->size();
    {
      std::unique_lock lock(mutex);
      changed.wait(lock, [&] { return under_way < 64; });
      ++under_way;
    }
    bus->Append({topic, Partition(next)}, {.values = *views}, [&, values, views](const Result<bus::Appended>& appended) {
      const std::lock_guard lock(mutex);
      if (!appended) failure = appended.error().ToString();
      --under_way;
      changed.notify_all();
    });
  }
  std::unique_lock lock(mutex);
  changed.wait(lock, [&] { return under_way == 0; });
  if (!failure.empty()) throw std::runtime_error(failure);
  for (const auto& of_partition : ids) sum.ids += of_partition.size();
  sum.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return sum;
}

std::vector<std::int64_t> EndsOf(kafka::KafkaBus& bus, const std::string& topic) {
  std::vector<std::int64_t> ends;
  for (const auto& partition : Must(bus.Describe(topic)).partitions) ends.push_back(partition.visible.value);
  return ends;
}

Sum Consume(const std::string& brokers, const std::string& topic) {
  std::int64_t all = 0;
  {
    const auto bus = Must(kafka::KafkaBus::Open(Options(brokers)));
    for (const std::int64_t end : EndsOf(*bus, topic)) all += end;
  }
  char text[512];
  rd_kafka_conf_t* conf = rd_kafka_conf_new();
  rd_kafka_conf_set(conf, "bootstrap.servers", brokers.c_str(), text, sizeof(text));
  rd_kafka_t* client = rd_kafka_new(RD_KAFKA_CONSUMER, conf, text, sizeof(text));
  if (client == nullptr) throw std::runtime_error(text);
  rd_kafka_topic_t* handle = rd_kafka_topic_new(client, topic.c_str(), nullptr);
  rd_kafka_queue_t* queue = rd_kafka_queue_new(client);
  Sum sum;
  std::vector<rd_kafka_message_t*> messages(8192);
  const auto start = std::chrono::steady_clock::now();
  for (std::int32_t p = 0; p < kPartitions; ++p) rd_kafka_consume_start_queue(handle, p, RD_KAFKA_OFFSET_BEGINNING, queue);
  while (static_cast<std::int64_t>(sum.records) < all) {
    const ssize_t got = rd_kafka_consume_batch_queue(queue, 10, messages.data(), messages.size());
    for (ssize_t i = 0; i < got; ++i) {
      rd_kafka_message_t* const message = messages[static_cast<std::size_t>(i)];
      if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        ++sum.records;
        sum.bytes += message->len;
      }
      rd_kafka_message_destroy(message);
    }
  }
  sum.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  for (std::int32_t p = 0; p < kPartitions; ++p) rd_kafka_consume_stop(handle, p);
  rd_kafka_queue_destroy(queue);
  rd_kafka_topic_destroy(handle);
  rd_kafka_destroy(client);
  return sum;
}

// One partition through reader, decoder and dedupe table.
struct Lane {
  std::unique_ptr<bus::Reader> reader;
  std::int64_t end = 0;
  std::unique_ptr<gate::Decoder> decoder;
  gate::Decoded decoded;
  flow::DedupeTable<std::uint64_t> table{kWithinMs, kOutOfOrdernessMs, 1};
  std::vector<std::uint64_t> keys;
  std::vector<std::int64_t> times, watermarks;
  std::vector<std::uint8_t> seen;
  std::int64_t newest = INT64_MIN + kOutOfOrdernessMs;

  // False where nothing was there.
  bool Step(std::size_t id, std::size_t time, Sum& sum) {
    const auto batch = Must(reader->Next());
    if (!batch) return false;
    for (const std::string_view value : batch->values) sum.bytes += value.size();
    sum.records += batch->values.size();
    decoder->DecodeRecords(batch->encoding, batch->values, decoded);
    const std::size_t rows = decoded.rows.rows;
    keys.resize(rows);
    times.resize(rows);
    watermarks.resize(rows);
    seen.resize(rows);
    for (std::size_t row = 0; row < rows; ++row) {
      keys[row] = static_cast<std::uint64_t>(decoded.rows.columns[id].int64s[row]);
      times[row] = decoded.rows.columns[time].int64s[row];
      watermarks[row] = newest - kOutOfOrdernessMs;
      newest = std::max(newest, times[row]);
    }
    table.Probe(keys, times, watermarks, seen);
    for (const std::uint8_t known : seen) sum.ids += known == 0 ? 1 : 0;
    return true;
  }
};

Sum Read(const std::string& brokers, const std::string& topic) {
  const auto bus = Must(kafka::KafkaBus::Open(Options(brokers)));
  const governance::Contract contract = EventsContract();
  const auto id = static_cast<std::size_t>(contract.schema.Find("detection_oid"));
  const auto time = static_cast<std::size_t>(contract.event_time);
  const std::vector<std::int64_t> ends = EndsOf(*bus, topic);
  std::vector<Lane> lanes(ends.size());
  for (std::size_t p = 0; p < ends.size(); ++p) {
    lanes[p].end = ends[p];
    lanes[p].decoder = std::make_unique<gate::Decoder>(contract, gate::Decoder::Limits{});
  }
  Sum sum;
  const auto start = std::chrono::steady_clock::now();
  for (std::size_t p = 0; p < ends.size(); ++p) {
    lanes[p].reader = Must(bus->OpenReader({topic, Partition(static_cast<std::int32_t>(p))}, Offset(0)));
  }
  for (bool more = true; more;) {
    more = false;
    for (Lane& lane : lanes) {
      if (lane.reader->position().value >= lane.end) continue;
      more = true;
      lane.Step(id, time, sum);
    }
  }
  sum.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return sum;
}

}  // namespace
}  // namespace sightline::bench

int main(int argc, char** argv) {
  using namespace sightline::bench;
  if (argc != 5) {
    std::fprintf(stderr, "usage: kafka_read BROKERS TOPIC load|consume|read EVENTS\n");
    return 2;
  }
  try {
    const std::string mode = argv[3];
    const Sum sum = mode == "load"      ? Load(argv[1], argv[2], argv[4])
                    : mode == "consume" ? Consume(argv[1], argv[2])
                                        : Read(argv[1], argv[2]);
    std::printf("{\"records\":%lu,\"bytes\":%lu,\"ids\":%lu,\"seconds\":%.6f}\n", sum.records, sum.bytes, sum.ids, sum.seconds);
    return 0;
  } catch (const std::exception& failure) {
    std::fprintf(stderr, "kafka_read: %s\n", failure.what());
    return 1;
  }
}
