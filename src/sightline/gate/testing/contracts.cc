#include "sightline/gate/testing/contracts.h"

namespace sightline::gate {

governance::Contract CameraEvents() {
  governance::Contract contract;
  contract.name = "camera_events";
  contract.version = "1.0.0";
  contract.schema.fields = {{"geographical_location_oid", FieldType::kInt64, false, true},
                            {"video_camera_oid", FieldType::kInt64, false, true},
                            {"detection_oid", FieldType::kInt64, false, true},
                            {"item_name", FieldType::kString, false, false},
                            {"timestamp_detected", FieldType::kInt64, false, false}};
  contract.rules.resize(5);
  for (std::size_t f = 0; f < 5; ++f) {
    contract.rules[f].required = true;
    contract.rules[f].protobuf_number = static_cast<std::uint32_t>(f + 1);
  }
  contract.rules[3].max_length = 5000;
  contract.event_time = 4;
  contract.key = {2};
  return contract;
}

governance::Contract EveryRule() {
  governance::Contract contract;
  contract.name = "every_rule";
  contract.version = "1.0.0";
  contract.schema.fields = {
      {"id", FieldType::kInt64, false, true},     {"level", FieldType::kInt64, true, false},   {"grade", FieldType::kInt64, true, false},
      {"ratio", FieldType::kDouble, true, false}, {"seen", FieldType::kBool, true, false},     {"code", FieldType::kString, true, false},
      {"plate", FieldType::kString, true, false}, {"colour", FieldType::kString, true, false}, {"free", FieldType::kString, true, false}};
  contract.rules.resize(contract.schema.fields.size());
  for (std::size_t f = 0; f < contract.rules.size(); ++f) contract.rules[f].protobuf_number = static_cast<std::uint32_t>(f + 1);
  contract.rules[0].required = true;
  contract.rules[1].min_int64 = 1;
  contract.rules[1].max_int64 = 5;
  contract.rules[2].one_of_int64 = {10, 20, 30};
  contract.rules[3].min_double = -1;
  contract.rules[3].max_double = 1;
  contract.rules[5].min_length = 2;
  contract.rules[5].max_length = 4;
  contract.rules[6].pattern = "[A-Z]{2}-[0-9]+";
  contract.rules[7].one_of = {"red", "green"};
  contract.key = {0};
  return contract;
}

}  // namespace sightline::gate
