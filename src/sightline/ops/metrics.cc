#include "sightline/ops/metrics.h"

#include <cassert>
#include <charconv>
#include <cmath>

namespace sightline::ops {
namespace {

void AppendNumber(std::string& out, double value) {
  if (std::isnan(value)) {
    out += "NaN";
  } else if (std::isinf(value)) {
    out += value > 0 ? "+Inf" : "-Inf";
  } else {
    char raw[40];
    const auto end = std::to_chars(raw, raw + sizeof raw, value);
    out.append(raw, end.ptr);
  }
}

// Backslash, newline and, within a label's value, the quote are escaped; nothing else is.
void AppendEscaped(std::string& out, std::string_view text, bool quoted) {
  for (const char c : text) {
    if (c == '\\') {
      out += "\\\\";
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '"' && quoted) {
      out += "\\\"";
    } else {
      out += c;
    }
  }
}

void AppendLabels(std::string& out, const Labels& labels, std::string_view le = {}) {
  if (labels.empty() && le.empty()) return;
  out += '{';
  bool first = true;
  const auto one = [&](std::string_view name, std::string_view value) {
    if (!first) out += ',';
    first = false;
    out += name;
    out += "=\"";
    AppendEscaped(out, value, true);
    out += '"';
  };
  for (const auto& [name, value] : labels) one(name, value);
  if (!le.empty()) one("le", le);
  out += '}';
}

void AppendHead(std::string& out, std::string_view name, std::string_view help, std::string_view type) {
  out += "# HELP ";
  out += name;
  out += ' ';
  AppendEscaped(out, help, false);
  out += "\n# TYPE ";
  out += name;
  out += ' ';
  out += type;
  out += '\n';
}

void AppendSample(std::string& out, std::string_view name, std::string_view suffix, const Labels& labels, std::string_view le,
                  double value) {
  out += name;
  out += suffix;
  AppendLabels(out, labels, le);
  out += ' ';
  AppendNumber(out, value);
  out += '\n';
}

}  // namespace

Histogram::Histogram(std::vector<double> bounds) : bounds_(std::move(bounds)), buckets_(bounds_.size() + 1) {}

void Histogram::Observe(double value) {
  std::size_t i = 0;
  while (i < bounds_.size() && value > bounds_[i]) ++i;
  buckets_[i].fetch_add(1, std::memory_order_relaxed);
  sum_.fetch_add(value, std::memory_order_relaxed);
}

std::vector<double> Histogram::Latencies() {
  return {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30};
}

struct Metrics::Family {
  std::string help;
  std::string type;
  std::map<Labels, std::unique_ptr<Counter>> counters;
  std::map<Labels, std::unique_ptr<Gauge>> gauges;
  std::map<Labels, std::unique_ptr<Histogram>> histograms;
};

struct Metrics::Collectors {
  std::mutex mutex;
  std::uint64_t next = 0;
  std::map<std::uint64_t, Collector> all;
};

std::shared_ptr<Metrics::Collectors> Metrics::MakeCollectors() { return std::make_shared<Collectors>(); }

Metrics::Family& Metrics::FamilyOf(const std::string& name, const std::string& help, std::string_view type) {
  auto& family = families_[name];
  if (family == nullptr) {
    family = std::make_shared<Family>();
    family->help = help;
    family->type = type;
  }
  assert(family->type == type && "a metric's name belongs to one kind");
  return *family;
}

Counter* Metrics::AddCounter(const std::string& name, const std::string& help, const Labels& labels) {
  const std::lock_guard lock(mutex_);
  auto& slot = FamilyOf(name, help, "counter").counters[labels];
  if (slot == nullptr) slot = std::make_unique<Counter>();
  return slot.get();
}

Gauge* Metrics::AddGauge(const std::string& name, const std::string& help, const Labels& labels) {
  const std::lock_guard lock(mutex_);
  auto& slot = FamilyOf(name, help, "gauge").gauges[labels];
  if (slot == nullptr) slot = std::make_unique<Gauge>();
  return slot.get();
}

Histogram* Metrics::AddHistogram(const std::string& name, const std::string& help, std::vector<double> bounds, const Labels& labels) {
  const std::lock_guard lock(mutex_);
  auto& slot = FamilyOf(name, help, "histogram").histograms[labels];
  if (slot == nullptr) slot = std::make_unique<Histogram>(std::move(bounds));
  return slot.get();
}

std::shared_ptr<void> Metrics::AddCollector(Collector collector) {
  const std::lock_guard lock(collectors_->mutex);
  const std::uint64_t id = collectors_->next++;
  collectors_->all.emplace(id, std::move(collector));
  return std::shared_ptr<void>(collectors_.get(), [collectors = collectors_, id](void*) {
    const std::lock_guard removal(collectors->mutex);
    collectors->all.erase(id);
  });
}

namespace {

// Samples of one name must stand together, whichever collector they come from.
class GroupingSink final : public Metrics::Sink {
 public:
  void CounterSample(std::string_view name, std::string_view help, const Labels& labels, double value) override {
    Take(name, help, "counter", labels, value);
  }
  void GaugeSample(std::string_view name, std::string_view help, const Labels& labels, double value) override {
    Take(name, help, "gauge", labels, value);
  }
  // Leaves out what `taken` says has been rendered already: a family may stand in the text once only.
  template <typename Taken>
  void AppendTo(std::string& out, const Taken& taken) const {
    for (const auto& [name, text] : families_) {
      if (!taken(name)) out += text;
    }
  }

 private:
  void Take(std::string_view name, std::string_view help, std::string_view type, const Labels& labels, double value) {
    auto found = families_.find(name);
    if (found == families_.end()) {
      found = families_.emplace(std::string(name), std::string()).first;
      AppendHead(found->second, name, help, type);
    }
    AppendSample(found->second, name, {}, labels, {}, value);
  }
  std::map<std::string, std::string, std::less<>> families_;
};

void AppendHistogram(std::string& out, const std::string& name, const Labels& labels, const Histogram& histogram) {
  std::uint64_t below = 0;
  for (std::size_t i = 0; i < histogram.bounds().size(); ++i) {
    below += histogram.bucket(i);
    std::string le;
    AppendNumber(le, histogram.bounds()[i]);
    AppendSample(out, name, "_bucket", labels, le, static_cast<double>(below));
  }
  below += histogram.bucket(histogram.bounds().size());
  AppendSample(out, name, "_bucket", labels, "+Inf", static_cast<double>(below));
  AppendSample(out, name, "_sum", labels, {}, histogram.sum());
  AppendSample(out, name, "_count", labels, {}, static_cast<double>(below));
}

}  // namespace

std::string Metrics::Render() const {
  std::string out;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [name, family] : families_) {
      AppendHead(out, name, family->help, family->type);
      for (const auto& [labels, counter] : family->counters) {
        AppendSample(out, name, {}, labels, {}, static_cast<double>(counter->value()));
      }
      for (const auto& [labels, gauge] : family->gauges) AppendSample(out, name, {}, labels, {}, static_cast<double>(gauge->value()));
      for (const auto& [labels, histogram] : family->histograms) AppendHistogram(out, name, labels, *histogram);
    }
  }
  GroupingSink sink;
  {
    const std::lock_guard lock(collectors_->mutex);
    for (const auto& [id, collector] : collectors_->all) collector(sink);
  }
  const std::lock_guard lock(mutex_);
  sink.AppendTo(out, [this](const std::string& name) { return families_.contains(name); });
  return out;
}

}  // namespace sightline::ops
