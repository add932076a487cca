// Load for benchmarks, over the server's own API:
//   bench_load fill server=HOST:PORT token=FILE base_ms=T span_ms=S total=N [first=0] [count=N] [batch=20000] [connections=2]
//   bench_load live server=HOST:PORT token=FILE rate=R seconds=S [batch=50] [warm_up=1] [clients=1] [slow_in_ten=0] [one_location=0]
// fill posts the events first … first+count of a sequence of `total` as fast as they are taken. live posts at a rate and measures how long
// it takes until each event is seen on a WebSocket. Exits with 1 and a sentence when the server goes away or anything is not seen.
#include <cstdio>
#include <exception>
#include <fstream>
#include <stdexcept>
#include <string_view>

#include "bench/load/options.h"

namespace sightline::bench {

Options::Options(int count, char** words) {
  for (int i = 0; i < count; ++i) {
    const std::string word = words[i];
    const std::size_t equals = word.find('=');
    if (equals == std::string::npos) throw std::runtime_error("'" + word + "' is not of the form name=value");
    values_[word.substr(0, equals)] = word.substr(equals + 1);
  }
}

std::int64_t Options::Number(const std::string& name, std::int64_t otherwise) {
  const auto at = values_.find(name);
  if (at == values_.end()) return otherwise;
  const std::int64_t value = std::stoll(at->second);
  values_.erase(at);
  return value;
}

std::string Options::Text(const std::string& name) {
  const auto at = values_.find(name);
  if (at == values_.end()) throw std::runtime_error(name + "= is missing");
  const std::string value = at->second;
  values_.erase(at);
  return value;
}

Server Options::TakeServer() {
  const std::string address = Text("server");
  const std::size_t colon = address.rfind(':');
  if (colon == std::string::npos) throw std::runtime_error("server=HOST:PORT, not " + address);
  Server server{.host = address.substr(0, colon), .port = std::stoi(address.substr(colon + 1)), .token = {}};
  const std::string path = Text("token");
  std::ifstream file(path);
  if (!(file >> server.token)) throw std::runtime_error("no token in " + path);
  return server;
}

void Options::Finish() const {
  if (!values_.empty()) throw std::runtime_error("there is no option " + values_.begin()->first);
}

}  // namespace sightline::bench

int main(int argc, char** argv) {
  using namespace sightline::bench;
  const std::string_view mode = argc > 1 ? argv[1] : "";
  if (mode != "fill" && mode != "live") {
    std::fprintf(stderr, "usage: bench_load fill|live name=value...\n");
    return 2;
  }
  try {
    RaiseDescriptorLimit();
    Options options(argc - 2, argv + 2);
    mode == "fill" ? Fill(options) : Live(options);
    return 0;
  } catch (const std::exception& failure) {
    std::fprintf(stderr, "bench_load: %s\n", failure.what());
    return 1;
  }
}
