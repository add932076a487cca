#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "sightline/ingest/framing.h"

// Bodies of POST /v1/datasets/{dataset}/events. Every record must lie within the body, after the one before.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view body(reinterpret_cast<const char*>(data), size);
  for (const auto split : {sightline::ingest::SplitJson, sightline::ingest::SplitDelimited}) {
    std::vector<std::string_view> records;
    const auto status = split(body, 1000, records);
    if (records.size() > 1000) std::abort();
    const char* at = body.data();
    for (const std::string_view record : records) {
      if (record.data() < at || record.data() + record.size() > body.data() + body.size()) std::abort();
      at = record.data() + record.size();
    }
    static_cast<void>(status);
  }
  return 0;
}
