// Runs a fuzz target without libFuzzer, for builds that have none: every file of the given corpus folders goes through
// LLVMFuzzerTestOneInput, then a fixed number of mutations of them, drawn from a fixed seed so that two runs see the same inputs.
//
//   target [--mutations N] [--seconds S] [--findings FOLDER] CORPUS...
//
// With --seconds it ends when they are over, however many mutations are left; at least a tenth of them is tried.
// When the target dies, the input in hand is written to FOLDER/crash-<target> and its name printed.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <string_view>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
// Present when a sanitizer is linked: called before it ends the process.
extern "C" [[gnu::weak]] void __sanitizer_set_death_callback(void (*callback)());

namespace {

using Bytes = std::vector<std::uint8_t>;

constexpr std::size_t kInputBytesMax = 64UZ << 10;

// What the death handlers read: they may neither allocate nor lock.
const Bytes* in_hand = nullptr;
std::string finding_path;

void SaveInput() {
  if (in_hand == nullptr) return;
  const int file = ::open(finding_path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (file < 0) return;
  const ssize_t written = ::write(file, in_hand->data(), in_hand->size());
  ::close(file);
  constexpr std::string_view kSaid = "the input is in ";
  if (written >= 0 && ::write(STDERR_FILENO, kSaid.data(), kSaid.size()) > 0 &&
      ::write(STDERR_FILENO, finding_path.data(), finding_path.size()) > 0) {
    [[maybe_unused]] const ssize_t end = ::write(STDERR_FILENO, "\n", 1);
  }
}

void DieBySignal(int number) {
  SaveInput();
  std::signal(number, SIG_DFL);
  std::raise(number);
}

void RunOne(const Bytes& input) {
  in_hand = &input;
  LLVMFuzzerTestOneInput(input.data(), input.size());
  in_hand = nullptr;
}

std::vector<Bytes> ReadCorpus(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file()) files.push_back(entry.path());
  }
  std::ranges::sort(files);
  std::vector<Bytes> corpus;
  for (const auto& path : files) {
    std::ifstream in(path, std::ios::binary);
    corpus.emplace_back(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
  }
  return corpus;
}

// A few edits of the kinds that break parsers: flipped bits, edge values, cut, repeated and foreign pieces.
Bytes Mutate(const std::vector<Bytes>& corpus, std::mt19937_64& random) {
  static constexpr std::array<std::uint8_t, 16> kEdges{0x00, 0x01, 0x7f, 0x80, 0xff, 0xc0, 0xed, 0xf4,
                                                       '"',  '\\', '{',  '}',  '[',  ',',  ':',  '-'};
  const auto below = [&](std::size_t n) { return n == 0 ? 0 : random() % n; };
  Bytes input = corpus[below(corpus.size())];
  for (std::size_t edits = 1 + below(4); edits > 0; --edits) {
    const std::size_t at = below(input.size());
    switch (below(6)) {
      case 0:
        if (!input.empty()) input[at] ^= static_cast<std::uint8_t>(1U << below(8));
        break;
      case 1:
        if (!input.empty()) input[at] = kEdges[below(kEdges.size())];
        break;
      case 2: input.insert(input.begin() + static_cast<std::ptrdiff_t>(at), kEdges[below(kEdges.size())]); break;
      case 3: input.resize(at); break;
      case 4: {
        const Bytes piece(input.begin() + static_cast<std::ptrdiff_t>(at),
                          input.begin() + static_cast<std::ptrdiff_t>(at + below(input.size() - at)));
        input.insert(input.begin() + static_cast<std::ptrdiff_t>(below(input.size())), piece.begin(), piece.end());
        break;
      }
      default: {
        const Bytes& other = corpus[below(corpus.size())];
        const auto from = static_cast<std::ptrdiff_t>(below(other.size()));
        input.insert(input.begin() + static_cast<std::ptrdiff_t>(at), other.begin() + from, other.end());
      }
    }
  }
  if (input.size() > kInputBytesMax) input.resize(kInputBytesMax);
  return input;
}

struct Options {
  std::size_t mutations = 0;
  std::int64_t seconds = 0;  // 0: no limit
  std::filesystem::path findings = ".";
  std::vector<Bytes> corpus;
};

bool Parse(int argc, char** argv, Options& options) {
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    if (word == "--mutations" && i + 1 < argc) {
      const std::string_view count = argv[++i];
      if (std::from_chars(count.data(), count.data() + count.size(), options.mutations).ec != std::errc{}) return false;
    } else if (word == "--seconds" && i + 1 < argc) {
      const std::string_view count = argv[++i];
      if (std::from_chars(count.data(), count.data() + count.size(), options.seconds).ec != std::errc{}) return false;
    } else if (word == "--findings" && i + 1 < argc) {
      options.findings = argv[++i];
    } else if (std::filesystem::is_directory(word)) {
      std::ranges::move(ReadCorpus(word), std::back_inserter(options.corpus));
    } else {
      std::fprintf(stderr, "%s: no such corpus folder; a fuzz target is checked in with its corpus\n", argv[i]);
      return false;
    }
  }
  if (options.corpus.empty()) std::fputs("the corpus is empty: nothing to replay\n", stderr);
  return !options.corpus.empty();
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  if (!Parse(argc, argv, options)) return 1;
  finding_path = options.findings / ("crash-" + std::filesystem::path(argv[0]).filename().string());
  if (__sanitizer_set_death_callback != nullptr) {
    __sanitizer_set_death_callback(SaveInput);
    std::signal(SIGABRT, DieBySignal);
  } else {
    for (const int number : {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL}) std::signal(number, DieBySignal);
  }

  RunOne({});
  for (const Bytes& input : options.corpus) RunOne(input);
  std::mt19937_64 random(20241121);
  const auto started = std::chrono::steady_clock::now();
  const auto over = [&] {
    return options.seconds > 0 && std::chrono::steady_clock::now() - started >= std::chrono::seconds(options.seconds);
  };
  std::size_t tried = 0;
  for (; tried < options.mutations && (tried < options.mutations / 10 || !over()); ++tried) RunOne(Mutate(options.corpus, random));
  std::fprintf(stderr, "%zu corpus files and %zu mutations of them\n", options.corpus.size(), tried);
  return 0;
}
