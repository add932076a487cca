#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "sightline/ops/health.h"
#include "sightline/ops/log.h"
#include "sightline/ops/metrics.h"
#include "sightline/runtime/simulated/simulated_clock.h"

namespace sightline::ops {
namespace {

TEST(Metrics, PrometheusText) {
  Metrics metrics;
  metrics.AddCounter("b_total", "What b\ncounts.", {{"topic", "a\"b\\c\nd"}})->Add(3);
  metrics.AddCounter("b_total", "", {{"topic", "z"}})->Add();
  metrics.AddGauge("a", "A gauge.")->Set(-7);
  auto* histogram = metrics.AddHistogram("c_seconds", "Times.", {0.1, 1});
  for (const double value : {0.05, 0.1, 0.5, 7.0}) histogram->Observe(value);
  EXPECT_EQ(metrics.Render(),
            "# HELP a A gauge.\n# TYPE a gauge\na -7\n"
            "# HELP b_total What b\\ncounts.\n# TYPE b_total counter\n"
            "b_total{topic=\"a\\\"b\\\\c\\nd\"} 3\nb_total{topic=\"z\"} 1\n"
            "# HELP c_seconds Times.\n# TYPE c_seconds histogram\n"
            "c_seconds_bucket{le=\"0.1\"} 2\nc_seconds_bucket{le=\"1\"} 3\nc_seconds_bucket{le=\"+Inf\"} 4\n"
            "c_seconds_sum 7.65\nc_seconds_count 4\n");
}

TEST(Metrics, SameNameAndLabelsAreTheSameSeries) {
  Metrics metrics;
  EXPECT_EQ(metrics.AddCounter("x", "", {{"a", "1"}}), metrics.AddCounter("x", "", {{"a", "1"}}));
  EXPECT_NE(metrics.AddCounter("x", "", {{"a", "1"}}), metrics.AddCounter("x", "", {{"a", "2"}}));
}

TEST(Metrics, CollectorsRunUntilTheyGoAndStandTogether) {
  Metrics metrics;
  auto first = metrics.AddCollector([](Metrics::Sink& sink) {
    sink.GaugeSample("lag", "Lag.", {{"p", "1"}}, 5);
    sink.CounterSample("seen_total", "Seen.", {}, 2);
  });
  auto second = metrics.AddCollector([](Metrics::Sink& sink) { sink.GaugeSample("lag", "Lag.", {{"p", "2"}}, 6.5); });
  EXPECT_EQ(metrics.Render(),
            "# HELP lag Lag.\n# TYPE lag gauge\nlag{p=\"1\"} 5\nlag{p=\"2\"} 6.5\n"
            "# HELP seen_total Seen.\n# TYPE seen_total counter\nseen_total 2\n");
  first.reset();
  EXPECT_EQ(metrics.Render(), "# HELP lag Lag.\n# TYPE lag gauge\nlag{p=\"2\"} 6.5\n");
}

TEST(Metrics, AFamilyStandsInTheTextOnce) {
  Metrics metrics;
  metrics.AddGauge("clients", "Clients.")->Set(3);
  const auto collector = metrics.AddCollector([](Metrics::Sink& sink) { sink.GaugeSample("clients", "Clients.", {}, 9); });
  EXPECT_EQ(metrics.Render(), "# HELP clients Clients.\n# TYPE clients gauge\nclients 3\n");
}

TEST(Metrics, NothingIsLostBetweenThreads) {
  Metrics metrics;
  auto* counter = metrics.AddCounter("n_total", "");
  auto* histogram = metrics.AddHistogram("h", "", {1});
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 10'000; ++i) {
        counter->Add();
        histogram->Observe(i % 2);
      }
    });
  }
  for (int i = 0; i < 20; ++i) EXPECT_FALSE(metrics.Render().empty());
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(counter->value(), 40'000U);
  EXPECT_EQ(histogram->bucket(0), 40'000U);
  EXPECT_EQ(histogram->sum(), 20'000.0);
}

TEST(Log, OneJsonObjectALine) {
  runtime::SimulatedClock clock(WallTime(951'782'400'007));
  std::string lines;
  const Log log(clock, LogLevel::kInfo, [&](std::string_view line) { lines += line; }, "serve");
  log.Debug("not written");
  log.Warning("a \"quoted\"\nmessage", {{"request_id", "r-1"}, {"count", 3}, {"ok", true}, {"bad", std::string_view("\xff", 1)}});
  log.For("bus").Error("x");
  EXPECT_EQ(
      lines,
      "{\"time\":\"2000-02-29T00:00:00.007Z\",\"level\":\"warning\",\"component\":\"serve\",\"message\":\"a \\\"quoted\\\"\\nmessage\","
      "\"request_id\":\"r-1\",\"count\":3,\"ok\":true,\"bad\":\"\xef\xbf\xbd\"}\n"
      "{\"time\":\"2000-02-29T00:00:00.007Z\",\"level\":\"error\",\"component\":\"bus\",\"message\":\"x\"}\n");
}

TEST(Health, WhoIsDegradedIsReady) {
  Health health;
  health.SetDegraded("statistics", "away");
  EXPECT_TRUE(health.ready());
  EXPECT_TRUE(health.live());
  EXPECT_EQ(health.ReadyJson(), "{\"status\":\"degraded\",\"reasons\":{\"statistics\":\"away\"}}\n");
  health.SetNotReady("stop", "stopping");
  EXPECT_EQ(health.ReadyJson(), "{\"status\":\"failed\",\"reasons\":{\"stop\":\"stopping\"}}\n");
  health.SetNotReady("stop", "");
  health.SetDegraded("statistics", "");
  EXPECT_EQ(health.ReadyJson(), "{\"status\":\"ok\"}\n");
}

TEST(Health, ReasonsComeAndGo) {
  Health health;
  EXPECT_TRUE(health.ready());
  health.SetNotReady("flow", "starting");
  EXPECT_TRUE(health.live());
  EXPECT_FALSE(health.ready());
  EXPECT_EQ(health.ReadyJson(), "{\"status\":\"failed\",\"reasons\":{\"flow\":\"starting\"}}\n");
  EXPECT_EQ(health.LiveJson(), "{\"status\":\"ok\"}\n");
  health.SetNotReady("flow", "");
  EXPECT_TRUE(health.ready());
  health.SetBroken("bus", "a failed fsync");
  EXPECT_FALSE(health.live());
  EXPECT_FALSE(health.ready());
}

}  // namespace
}  // namespace sightline::ops
