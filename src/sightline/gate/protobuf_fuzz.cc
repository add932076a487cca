#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "sightline/gate/testing/contracts.h"
#include "sightline/gate/testing/protobuf_oracle.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto cameras = sightline::gate::CameraEvents();
  static const auto rules = [] {
    auto contract = sightline::gate::EveryRule();
    contract.rules[6].pattern.clear();  // compiling it would take most of the time
    return contract;
  }();
  const std::string_view record(reinterpret_cast<const char*>(data), size);
  for (const auto* contract : {&cameras, &rules}) {
    const std::string disagreement = sightline::gate::DisagreementWithProtobuf(*contract, record);
    if (disagreement.empty()) continue;
    std::fprintf(stderr, "%s\n", disagreement.c_str());
    std::abort();
  }
  return 0;
}
