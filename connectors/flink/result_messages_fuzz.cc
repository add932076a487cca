// Whatever stands in the topics that a job writes: a message is a record of the results' topic that can be read again, or refused.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "connectors/flink/result_messages.h"

namespace {

sightline::flow::Plan MakePlan() {
  using sightline::FieldType;
  sightline::flow::PipelinePlan pipeline;
  pipeline.name = "p";
  pipeline.rows.fields = {{.name = "k", .type = FieldType::kString, .nullable = true}};
  pipeline.group_by = {0};
  pipeline.shape.schema.fields = {{.name = "k", .type = FieldType::kString, .nullable = true},
                                  {.name = "n", .nullable = true},
                                  {.name = "d", .type = FieldType::kDouble, .nullable = true},
                                  {.name = "b", .type = FieldType::kBool, .nullable = true}};
  pipeline.shape.group = {0};
  sightline::flow::Plan plan;
  plan.pipelines.push_back(std::move(pipeline));
  return plan;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const sightline::flow::Plan plan = MakePlan();
  const std::string message(data, data + size);
  std::string record;
  const auto rows = sightline::flink::ResultMessages(plan, plan.pipelines[0]).Encode(message, record);
  if (rows) {
    sightline::ResultRecord read;
    if (!sightline::DecodeResult(record, plan.pipelines[0].shape.schema, read) || read.rows.rows != *rows) std::abort();
  }
  (void)sightline::flink::ParseLateMessage(message);
  (void)sightline::flink::ParseFlinkTime(message);
  return 0;
}
