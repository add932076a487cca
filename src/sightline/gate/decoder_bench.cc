// Records a second of the decoder, one thread, all checks on, and the ratio to simdjson's On-Demand parser reading the same five fields
// without checks, measured in turns within one run.
#include <benchmark/benchmark.h>
#include <simdjson.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <random>
#include <string>
#include <vector>

#include "sightline/base/bytes.h"
#include "sightline/gate/decoder.h"
#include "sightline/gate/testing/contracts.h"

namespace sightline::gate {
namespace {

constexpr std::size_t kRecords = 100'000;
constexpr std::size_t kBatch = 4096;

struct Input {
  std::string text;  // simdjson's padding included
  std::size_t size = 0;
  std::string_view lines() const { return {text.data(), size}; }
};

std::string Item(std::mt19937_64& random) {
  static constexpr std::string_view kItems[] = {"person", "car", "bicycle", "dog", "umbrella", "traffic light", "bus", "suitcase"};
  return std::string(kItems[random() % std::size(kItems)]);
}

// A producer that writes its fields in one order.
Input SteadyShape() {
  std::mt19937_64 random(1);
  Input input;
  for (std::size_t i = 0; i < kRecords; ++i) {
    const std::uint64_t location = random() % 1000;
    input.text += R"({"geographical_location_oid":)" + std::to_string(location) + R"(,"video_camera_oid":)" +
                  std::to_string(location * 10 + random() % 10) + R"(,"detection_oid":)" + std::to_string(i * 2654435761 % (1ULL << 53)) +
                  R"(,"item_name":")" + Item(random) + R"(","timestamp_detected":)" + std::to_string(1'700'000'000'000 + i / 2) + "}\n";
  }
  input.size = input.text.size();
  input.text.append(simdjson::SIMDJSON_PADDING, ' ');
  return input;
}

// Fields in a new order each time, escapes in half of the names, an extra field, spaces.
Input ChangingShape() {
  std::mt19937_64 random(2);
  Input input;
  for (std::size_t i = 0; i < kRecords; ++i) {
    const std::uint64_t location = random() % 1000;
    const std::string item = random() % 2 == 0 ? R"(\"caf\u00e9\" )" + Item(random) : Item(random);
    std::array<std::string, 6> members = {R"("geographical_location_oid":)" + std::to_string(location),
                                          R"("video_camera_oid":)" + std::to_string(location * 10 + random() % 10),
                                          R"("detection_oid":)" + std::to_string(i * 2654435761 % (1ULL << 53)),
                                          R"("item_name":")" + item + "\"",
                                          R"("timestamp_detected":)" + std::to_string(1'700'000'000'000 + i / 2),
                                          R"("confidence":0.)" + std::to_string(random() % 1000)};
    std::ranges::shuffle(members, random);
    input.text += "{";
    for (std::size_t m = 0; m < members.size(); ++m) input.text += (m == 0 ? "" : ", ") + members[m];
    input.text += "}\n";
  }
  input.size = input.text.size();
  input.text.append(simdjson::SIMDJSON_PADDING, ' ');
  return input;
}

const Input& Shape(std::int64_t number) {
  static const Input steady = SteadyShape();
  static const Input changing = ChangingShape();
  return number == 0 ? steady : changing;
}

std::int64_t DecodeAll(Decoder& decoder, Decoded& decoded, std::string_view text) {
  std::int64_t sum = 0;
  while (!text.empty()) {
    text.remove_prefix(decoder.DecodeLines(text, true, kBatch, decoded));
    if (!decoded.rejects.empty()) std::abort();
    sum += decoded.rows.columns[2].int64s[0];
  }
  return sum;
}

std::int64_t SimdjsonAll(simdjson::ondemand::parser& parser, const Input& input) {
  std::int64_t sum = 0;
  simdjson::ondemand::document_stream stream;
  if (parser.iterate_many(input.text.data(), input.size, 1 << 20).get(stream) != simdjson::SUCCESS) std::abort();
  for (auto document : stream) {
    simdjson::ondemand::object object = document.get_object();
    sum += std::int64_t(object.find_field_unordered("geographical_location_oid"));
    sum += std::int64_t(object.find_field_unordered("video_camera_oid"));
    sum += std::int64_t(object.find_field_unordered("detection_oid"));
    sum += static_cast<std::int64_t>(std::string_view(object.find_field_unordered("item_name")).size());
    sum += std::int64_t(object.find_field_unordered("timestamp_detected"));
  }
  return sum;
}

void BM_Lines(benchmark::State& state) {
  const governance::Contract contract = CameraEvents();
  const Input& input = Shape(state.range(0));
  Decoder decoder(contract, {});
  Decoded decoded;
  for (auto _ : state) benchmark::DoNotOptimize(DecodeAll(decoder, decoded, input.lines()));
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(kRecords));
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(input.size));
}
BENCHMARK(BM_Lines)->ArgName("shape")->Arg(0)->Arg(1)->Unit(benchmark::kMillisecond);

// The same records framed one by one, as a batch of the log holds them.
void BM_Framed(benchmark::State& state) {
  const governance::Contract contract = CameraEvents();
  std::vector<std::string_view> records;
  for (std::string_view text = Shape(state.range(0)).lines(); !text.empty();) {
    const std::size_t end = text.find('\n');
    records.push_back(text.substr(0, end));
    text.remove_prefix(end + 1);
  }
  Decoder decoder(contract, {});
  Decoded decoded;
  for (auto _ : state) {
    for (std::size_t at = 0; at < records.size(); at += kBatch) {
      decoder.DecodeRecords(bus::Encoding::kJson, std::span(records).subspan(at, std::min(kBatch, records.size() - at)), decoded);
    }
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(kRecords));
}
BENCHMARK(BM_Framed)->ArgName("shape")->Arg(0)->Arg(1)->Unit(benchmark::kMillisecond);

void BM_Protobuf(benchmark::State& state) {
  const governance::Contract contract = CameraEvents();
  std::mt19937_64 random(1);
  std::vector<std::string> messages;
  for (std::size_t i = 0; i < kRecords; ++i) {
    ByteWriter writer(messages.emplace_back());
    const std::uint64_t location = random() % 1000;
    writer.Put<char>(0x08);
    writer.PutVarint(location);
    writer.Put<char>(0x10);
    writer.PutVarint(location * 10 + random() % 10);
    writer.Put<char>(0x18);
    writer.PutVarint(i * 2654435761 % (1ULL << 53));
    writer.Put<char>(0x22);
    writer.PutString(Item(random));
    writer.Put<char>(0x28);
    writer.PutVarint(1'700'000'000'000 + i / 2);
  }
  const std::vector<std::string_view> records(messages.begin(), messages.end());
  Decoder decoder(contract, {});
  Decoded decoded;
  for (auto _ : state) {
    for (std::size_t at = 0; at < records.size(); at += kBatch) {
      decoder.DecodeRecords(bus::Encoding::kProtobuf, std::span(records).subspan(at, std::min(kBatch, records.size() - at)), decoded);
    }
    if (decoded.rows.rows == 0) std::abort();
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(kRecords));
}
BENCHMARK(BM_Protobuf)->Unit(benchmark::kMillisecond);

// In turns, so that whatever else the machine does falls on both. Time shown is the decoder's; `ratio` above 1: it is faster.
void BM_AgainstSimdjson(benchmark::State& state) {
  using Clock = std::chrono::steady_clock;
  const governance::Contract contract = CameraEvents();
  const Input& input = Shape(state.range(0));
  Decoder decoder(contract, {});
  Decoded decoded;
  simdjson::ondemand::parser parser;
  std::chrono::duration<double> ours{};
  std::chrono::duration<double> theirs{};
  for (auto _ : state) {
    const auto start = Clock::now();
    benchmark::DoNotOptimize(DecodeAll(decoder, decoded, input.lines()));
    const auto between = Clock::now();
    benchmark::DoNotOptimize(SimdjsonAll(parser, input));
    const auto end = Clock::now();
    ours += between - start;
    theirs += end - between;
    state.SetIterationTime(std::chrono::duration<double>(between - start).count());
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(kRecords));
  state.counters["ratio"] = theirs / ours;
}
BENCHMARK(BM_AgainstSimdjson)->ArgName("shape")->Arg(0)->Arg(1)->UseManualTime()->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace sightline::gate
