// Any bytes as a configuration file: either a configuration that can be shown again, or mistakes; never a crash.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>

#include "sightline/config/config.h"
#include "sightline/config/describe.h"
#include "sightline/config/testing/memory_files.h"

namespace {

constexpr const char* kContract = R"(apiVersion: v3.2.0
kind: DataContract
id: e
name: Events
version: 1.0.0
status: active
schema:
  - name: events
    logicalType: object
    properties:
      - {name: id, logicalType: integer, physicalType: int64, required: true, primaryKey: true, primaryKeyPosition: 1}
      - name: at
        logicalType: integer
        physicalType: int64
        required: true
        customProperties: [{property: eventTime, value: true, vendor: sightline}]
)";

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace sightline::config;
  MemoryFiles files;
  files.files["sightline.yaml"] = std::string(reinterpret_cast<const char*>(data), size);
  files.files["contract.yaml"] = kContract;
  files.files["table.csv"] = "id\n1\n";
  const LoadOptions options{.overrides = {{"data", "elsewhere", "--data"}},
                            .environment = [](const std::string&) { return std::optional<std::string>("a-secret-that-is-long"); }};
  const Loaded loaded = LoadConfigReportingAll(files, "sightline.yaml", options);
  if (loaded.config.has_value() != loaded.mistakes.empty()) std::abort();
  if (!loaded.config) return 0;
  for (const Setting& setting : Settings(*loaded.config)) {
    if (setting.path.empty() || setting.origin.empty() || setting.value.find("a-secret-that-is-long") != std::string::npos) std::abort();
  }
  return 0;
}
