#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "sightline/base/text.h"
#include "sightline/flow/plan.h"
#include "sightline/flow/processor.h"
#include "sightline/flow/testing/naive_model.h"
#include "sightline/gate/decoder.h"
#include "sightline/model/result.h"

namespace sightline::flow::testing {

// The contract of Dataset A and the preset's pipelines, for tests.
struct TopItems {
  governance::Contract contract;
  PlanInput input;
  std::unique_ptr<Plan> plan;
};

inline std::unique_ptr<TopItems> MakeTopItems(const NaiveModel::Settings& settings, std::int32_t partitions = 1) {
  auto made = std::make_unique<TopItems>();
  const auto add = [&](const char* name, FieldType type) {
    made->contract.schema.fields.push_back({.name = name, .type = type, .identifier = type == FieldType::kInt64});
    governance::FieldRule rule;
    rule.required = true;
    made->contract.rules.push_back(rule);
  };
  made->contract.name = "camera_events";
  add("geographical_location_oid", FieldType::kInt64);
  add("detection_oid", FieldType::kInt64);
  add("item_name", FieldType::kString);
  add("timestamp_detected", FieldType::kInt64);
  made->contract.event_time = 3;
  DatasetPlan dataset;
  dataset.name = dataset.topic = "camera_events";
  dataset.contract = &made->contract;
  dataset.partitions = partitions;
  dataset.partition_by = 0;
  dataset.implies_partition = {"detection_oid"};
  dataset.watermark.on = "timestamp_detected";
  dataset.watermark.out_of_orderness = std::chrono::milliseconds(settings.out_of_orderness);
  dataset.watermark.idle_after = std::chrono::seconds(10);
  made->input.datasets.push_back(dataset);
  PipelineSpec counts;
  counts.name = "item_counts";
  counts.from = "camera_events";
  counts.to_live = counts.to_statistics = true;
  counts.steps.push_back({DedupeStep{{"detection_oid"}, std::chrono::milliseconds(settings.within)}, {}});
  counts.steps.push_back({WindowStep{std::chrono::milliseconds(settings.size), std::chrono::milliseconds(settings.every),
                                     std::chrono::milliseconds(settings.lateness)},
                          {}});
  counts.steps.push_back({AggregateStep{{"geographical_location_oid", "item_name"}, {{"item_count", "count()"}}}, {}});
  PipelineSpec top;
  top.name = "top_items";
  top.from = "item_counts";
  top.steps.push_back({RankStep{{"window_start", "geographical_location_oid"}, "item_count", settings.top}, {}});
  PipelineSpec overall;
  overall.name = "top_items_overall";
  overall.from = "item_counts";
  overall.steps.push_back({AggregateStep{{"window_start", "item_name"}, {{"item_count", "sum(item_count)"}}}, {}});
  overall.steps.push_back({RankStep{{"window_start"}, "item_count", settings.top}, {}});
  made->input.pipelines = {counts, top, overall};
  auto plan = CompilePlan(made->input);
  if (plan) made->plan = std::make_unique<Plan>(std::move(*plan));
  return made;
}

inline std::string Line(const Event& event) {
  std::string line = "{\"geographical_location_oid\":" + std::to_string(event.location) +
                     ",\"detection_oid\":" + std::to_string(event.detection) + ",\"item_name\":";
  AppendJsonString(line, event.item);
  return line + ",\"timestamp_detected\":" + std::to_string(event.time) + "}";
}

// Keeps the newest revision of each group of a ranked pipeline, as a reader of the results topic would.
class RankedRows {
 public:
  explicit RankedRows(const PipelinePlan& plan) : plan_(plan) {}
  void Take(std::string_view record) {
    ResultRecord decoded;
    if (!DecodeResult(record, plan_.shape.schema, decoded)) {
      ++broken;
      return;
    }
    if (decoded.closed) return;
    auto& slot = groups_[{decoded.header.window_start.value, GroupKey(plan_.shape, decoded.rows, 0)}];
    slot.clear();
    const auto column = [&](const char* name) -> const Column& {
      return decoded.rows.columns[static_cast<std::size_t>(plan_.shape.schema.Find(name))];
    };
    for (std::size_t row = 0; row < decoded.rows.rows; ++row) {
      slot.emplace_back(decoded.header.window_start.value, column("geographical_location_oid").int64s[row],
                        std::string(column("item_name").strings[row]), column("item_count").int64s[row], column("rank").int64s[row]);
    }
    if (decoded.header.state == ResultState::kCorrected) ++corrected;
  }
  std::vector<NaiveModel::Row> rows() const {
    std::vector<NaiveModel::Row> all;
    for (const auto& [key, group] : groups_) all.insert(all.end(), group.begin(), group.end());
    std::sort(all.begin(), all.end(), [](const NaiveModel::Row& a, const NaiveModel::Row& b) {
      return std::tie(std::get<0>(a), std::get<1>(a), std::get<4>(a)) < std::tie(std::get<0>(b), std::get<1>(b), std::get<4>(b));
    });
    return all;
  }
  std::uint64_t broken = 0, corrected = 0;

 private:
  const PipelinePlan& plan_;
  std::map<std::pair<std::int64_t, std::string>, std::vector<NaiveModel::Row>> groups_;
};

}  // namespace sightline::flow::testing
