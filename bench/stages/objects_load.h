#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <mutex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace sightline::bench {

// The work that the S3 figure is about, the same for everybody: N objects of one size, a fixed number of them in flight.
struct ObjectsLoad {
  std::string endpoint;
  std::string bucket;
  std::size_t objects = 0;
  std::size_t size = 0;
  std::size_t in_flight = 0;

  static ObjectsLoad Parse(int argc, char** argv) {
    ObjectsLoad load;
    for (int i = 1; i < argc; ++i) {
      const std::string_view word(argv[i]);
      const std::size_t equals = word.find('=');
      const std::string_view name = word.substr(0, equals);
      const std::string value(equals == std::string_view::npos ? "" : word.substr(equals + 1));
      if (name == "endpoint") load.endpoint = value;
      if (name == "bucket") load.bucket = value;
      if (name == "objects") load.objects = std::stoull(value);
      if (name == "size") load.size = std::stoull(value);
      if (name == "in_flight") load.in_flight = std::stoull(value);
    }
    if (load.endpoint.empty() || load.bucket.empty() || load.objects == 0 || load.size < 16 || load.in_flight == 0) {
      throw std::runtime_error("usage: endpoint=URL bucket=B objects=N size=BYTES in_flight=T");
    }
    return load;
  }

  std::string KeyOf(std::size_t i) const { return "bench/" + std::to_string(i); }
  // Differs from object to object, and is made in no time.
  std::string BytesOf(std::size_t i) const {
    std::string number = std::to_string(i);
    number.insert(0, 15 - std::min<std::size_t>(number.size(), 15), '0');
    number.resize(15);
    number.push_back('\0');
    return number + std::string(size - number.size(), static_cast<char>('a' + i % 23));
  }

  template <typename Each>
  double ForEach(std::size_t count, const Each& each) const {
    std::atomic<std::size_t> next{0};
    std::mutex mutex;
    std::string failed;
    std::vector<std::thread> threads;
    const auto start = std::chrono::steady_clock::now();
    for (std::size_t t = 0; t < in_flight; ++t) {
      threads.emplace_back([&] {
        try {
          for (std::size_t i = next++; i < count; i = next++) each(i);
        } catch (const std::exception& error) {
          const std::lock_guard lock(mutex);
          failed = error.what();
          next = count;
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    if (!failed.empty()) throw std::runtime_error(failed);
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }

  // A few of each first, so that connections are there; then all of them, and the line that is printed.
  template <typename Put, typename Get>
  void Measure(const Put& put, const Get& get) const {
    ForEach(std::min(objects, 2 * in_flight), put);
    ForEach(std::min(objects, 2 * in_flight), get);
    const double put_s = ForEach(objects, put);
    const double get_s = ForEach(objects, get);
    std::printf("{\"put_s\":%.6f,\"get_s\":%.6f,\"objects\":%zu,\"bytes\":%zu}\n", put_s, get_s, objects, size);
  }
};

}  // namespace sightline::bench
