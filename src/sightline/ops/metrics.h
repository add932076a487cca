#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sightline::ops {

// Label names and values of one time series, in the order they are rendered.
using Labels = std::vector<std::pair<std::string, std::string>>;

// Only rises. Thread-safe, lock-free.
class Counter {
 public:
  void Add(std::uint64_t n = 1) { value_.fetch_add(n, std::memory_order_relaxed); }
  std::uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

// Goes up and down. Thread-safe, lock-free.
class Gauge {
 public:
  void Set(std::int64_t value) { value_.store(value, std::memory_order_relaxed); }
  void Add(std::int64_t difference) { value_.fetch_add(difference, std::memory_order_relaxed); }
  std::int64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::int64_t> value_{0};
};

// Counts observations by bucket. Bounds are inclusive upper bounds, ascending; +Inf is implied. Thread-safe, lock-free.
class Histogram {
 public:
  explicit Histogram(std::vector<double> bounds);
  void Observe(double value);
  const std::vector<double>& bounds() const { return bounds_; }
  // Observations in bucket `i` alone; i == bounds().size() is the one above all bounds.
  std::uint64_t bucket(std::size_t i) const { return buckets_[i].load(std::memory_order_relaxed); }
  double sum() const { return sum_.load(std::memory_order_relaxed); }
  // Buckets for latencies in seconds, 100 µs to 30 s.
  static std::vector<double> Latencies();

 private:
  const std::vector<double> bounds_;
  std::vector<std::atomic<std::uint64_t>> buckets_;
  std::atomic<double> sum_{0};
};

// All metrics of the process, rendered as Prometheus text format 0.0.4. Components get their metrics once, at construction,
// and keep the pointers, which live as long as the registry. Values that are known elsewhere come from collectors, which run
// at each rendering. Thread-safe.
class Metrics {
 public:
  // The same name and labels give the same object. A name belongs to one kind; help is that of the first call.
  Counter* AddCounter(const std::string& name, const std::string& help, const Labels& labels = {});
  Gauge* AddGauge(const std::string& name, const std::string& help, const Labels& labels = {});
  Histogram* AddHistogram(const std::string& name, const std::string& help, std::vector<double> bounds, const Labels& labels = {});

  // Takes samples while rendering. Samples under the name of a metric made by Add… are left out.
  class Sink {
   public:
    virtual ~Sink() = default;
    virtual void CounterSample(std::string_view name, std::string_view help, const Labels& labels, double value) = 0;
    virtual void GaugeSample(std::string_view name, std::string_view help, const Labels& labels, double value) = 0;
  };
  using Collector = std::function<void(Sink&)>;
  // Runs until the returned token is destroyed, which waits for a rendering in progress.
  [[nodiscard]] std::shared_ptr<void> AddCollector(Collector collector);

  std::string Render() const;

 private:
  struct Family;
  struct Collectors;
  Family& FamilyOf(const std::string& name, const std::string& help, std::string_view type);

  mutable std::mutex mutex_;
  std::map<std::string, std::shared_ptr<Family>> families_;
  std::shared_ptr<Collectors> collectors_ = MakeCollectors();
  static std::shared_ptr<Collectors> MakeCollectors();
};

}  // namespace sightline::ops
