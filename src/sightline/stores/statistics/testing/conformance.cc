#include "sightline/stores/statistics/testing/conformance.h"

#include "sightline/stores/statistics/testing/conformance_internal.h"

namespace sightline::stores::testing {

void RegisterConformance(const std::string& name, const StoreMaker& maker) {
  for (const auto& part : {WritingTests(), QueryTests()}) {
    for (const auto& [test, body] : part) {
      ::testing::RegisterTest((name + "StatisticsStore").c_str(), test, nullptr, nullptr, __FILE__, __LINE__,
                              [maker, body = body]() -> Suite* { return new Suite(maker, body); });
    }
  }
}

}  // namespace sightline::stores::testing
