// The counting stage alone, sliding windows against tumbling ones: counting_stage CONFIG EVENTS RUNS
// The events are decoded beforehand; the time is that of the processor, which makes the rows of each closed window and discards them. First
// the rows are compared: every window of the tumbling pipeline is one of the sliding one, and must hold the same counts. Prints
// {"events","windows","rows","tumbling_s":[…],"sliding_s":[…]}.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <chrono>
#include <cstdio>
#include <limits>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include "apps/sightline/plan_input.h"
#include "sightline/flow/processor.h"
#include "sightline/gate/decoder.h"
#include "sightline/runtime/posix_file_system.h"

namespace sightline::bench {
namespace {

constexpr std::size_t kPieceBytes = 256 << 10;

std::string_view Mapped(const char* path) {
  const int file = ::open(path, O_RDONLY);
  struct stat info{};
  if (file < 0 || ::fstat(file, &info) != 0) throw std::runtime_error(std::string("can't read ") + path);
  const auto size = static_cast<std::size_t>(info.st_size);
  void* const at = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file, 0);
  if (at == MAP_FAILED) throw std::runtime_error(std::string("can't map ") + path);
  return {static_cast<const char*>(at), size};
}

template <typename T>
T Must(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().ToString());
  return std::move(*result);
}

std::vector<gate::Decoded> DecodeAll(const governance::Contract& contract, std::string_view text) {
  gate::Decoder decoder(contract, {});
  std::vector<gate::Decoded> pieces;
  while (!text.empty()) {
    std::size_t end = text.find('\n', std::min(text.size(), kPieceBytes));
    end = end == std::string_view::npos ? text.size() : end + 1;
    decoder.DecodeLines(text.substr(0, end), true, std::numeric_limits<std::size_t>::max(), pieces.emplace_back());
    text.remove_prefix(end);
  }
  return pieces;
}

class Stage {
 public:
  Stage(const flow::Plan& plan, const std::string& pipeline, std::vector<gate::Decoded>& pieces)
      : plan_(plan), root_(plan.Find(pipeline)), pieces_(pieces) {
    if (root_ < 0) throw std::runtime_error("the configuration has no pipeline " + pipeline);
  }

  // Seconds for all pieces; rows are made, and put out by nobody.
  double Time() {
    flow::Processor processor(plan_, root_, {.seed = 1, .live = nullptr, .only = "nothing"});
    const auto start = std::chrono::steady_clock::now();
    Feed(processor, [] {});
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }

  using Windows = std::map<std::int64_t, std::map<std::pair<std::int64_t, std::string>, std::int64_t>>;
  // The rows by window, of those windows alone that begin with a full minute.
  Windows Rows() {
    const flow::PipelinePlan& plan = plan_.pipelines[static_cast<std::size_t>(root_)];
    flow::Processor processor(plan_, root_, {.seed = 1, .live = nullptr, .only = plan.name});
    Windows windows;
    Feed(processor, [&] {
      flow::EncodedRecords& results = processor.outputs()[0].results;
      for (std::size_t i = 0; i < results.size(); ++i) {
        ResultRecord record;
        if (const Status read = DecodeResult(results.at(i), plan.shape.schema, record); !read)
          throw std::runtime_error(read.error().ToString());
        if (record.closed || record.header.window_start.value % 60'000 != 0) continue;
        auto& rows = windows[record.header.window_start.value];
        for (std::size_t row = 0; row < record.rows.rows; ++row) {
          rows[{record.rows.columns[0].int64s[row], std::string(record.rows.columns[1].strings[row])}] = record.rows.columns[2].int64s[row];
        }
      }
      results.Clear();
    });
    counted_ = processor.counters().of(Verdict::kCounted);
    return windows;
  }
  std::uint64_t counted() const { return counted_; }

 private:
  template <typename After>
  void Feed(flow::Processor& processor, After after) {
    std::int64_t base = 0;
    for (gate::Decoded& piece : pieces_) {
      processor.Process(
          {.decoded = &piece, .topic = "camera_events", .partition = Partition(0), .base = Offset(base), .append_time = std::nullopt});
      base += piece.seen;
      processor.dead_letters().Clear();
      after();
    }
    processor.Finish();
    after();
  }

  const flow::Plan& plan_;
  int root_;
  std::vector<gate::Decoded>& pieces_;
  std::uint64_t counted_ = 0;
};

void PrintSamples(const char* name, const std::vector<double>& samples) {
  std::printf(",\"%s\":[", name);
  for (std::size_t i = 0; i < samples.size(); ++i) std::printf("%s%.6f", i == 0 ? "" : ",", samples[i]);
  std::printf("]");
}

void Run(const char* config_path, const char* events_path, int runs) {
  runtime::PosixFileSystem files;
  const config::Config config = Must(config::LoadConfig(files, config_path));
  const auto plan = app::CompilePlans(config);
  if (!plan) throw std::runtime_error(plan.error().front().ToString());
  std::vector<gate::Decoded> pieces = DecodeAll(config.datasets.front().contract, Mapped(events_path));
  std::uint64_t events = 0;
  for (const gate::Decoded& piece : pieces) events += piece.seen;
  Stage tumbling(*plan, "tumbling", pieces);
  Stage sliding(*plan, "sliding", pieces);

  const Stage::Windows windows = tumbling.Rows();
  std::size_t rows = 0;
  for (const auto& [start, groups] : windows) rows += groups.size();
  if (rows == 0) throw std::runtime_error("no rows: there is nothing to compare");
  if (windows != sliding.Rows()) throw std::runtime_error("sliding windows that begin with a minute differ from the tumbling ones");
  std::vector<double> tumbling_s;
  std::vector<double> sliding_s;
  for (int i = 0; i < runs; ++i) {
    tumbling_s.push_back(tumbling.Time());
    sliding_s.push_back(sliding.Time());
  }
  std::printf("{\"events\":%lu,\"windows\":%zu,\"rows\":%zu", events, windows.size(), rows);
  PrintSamples("tumbling_s", tumbling_s);
  PrintSamples("sliding_s", sliding_s);
  std::printf("}\n");
}

}  // namespace
}  // namespace sightline::bench

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: counting_stage CONFIG EVENTS RUNS\n");
    return 2;
  }
  try {
    sightline::bench::Run(argv[1], argv[2], std::stoi(argv[3]));
    return 0;
  } catch (const std::exception& failure) {
    std::fprintf(stderr, "counting_stage: %s\n", failure.what());
    return 1;
  }
}
