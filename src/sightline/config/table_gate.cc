// `datasets.NAME.gate`.
#include "sightline/config/table_internal.h"

namespace sightline::config {
namespace {

using enum ValueType;
using namespace internal;

// The order of each list is the order of the enumeration it stands for.
constexpr std::string_view kGateFormats[] = {"json", "protobuf", "confluent"};
constexpr std::string_view kSchemaLanguages[] = {"avro", "json", "protobuf"};

constexpr Property kGateProperties[] = {
    {.name = "from",
     .type = kText,
     .help = "One topic, or a pattern in which `*` stands for anything, such as one topic a location; topics that come later are found. "
             "Names are those of the cluster, without `drivers.bus.prefix`.",
     .example = "raw_camera_events_*",
     .required = true,
     .access = Bind<&GateConfig::from, kText>()},
    {.name = "format",
     .type = kChoice,
     .default_text = "json",
     .help = "What their values are: `json` or `protobuf` records, or `confluent`, Confluent's wire format (JSON, Avro or Protobuf by the "
             "schema that each value names), which needs `drivers.bus.registry`.",
     .choices = kGateFormats,
     .access = Bind<&GateConfig::format, kChoice>()},
    {.name = "schema",
     .type = kChoice,
     .default_text = "avro",
     .help = "For `confluent`: the language in which the contract is registered as `TOPIC-value` where the registry has no schema.",
     .choices = kSchemaLanguages,
     .access = Bind<&GateConfig::schema, kChoice>()},
};

}  // namespace

namespace internal {
const Section kGateSection{"a gate", kGateHelp, kGateProperties};
}  // namespace internal

}  // namespace sightline::config
