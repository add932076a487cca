#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace sightline::registry::testing {

// The real registry that tools/engines/registry starts (SIGHTLINE_TEST_REGISTRY_PORT, 28285). It keeps its schemas in memory: a restart
// forgets them. Started with the first use, stopped when the program ends.
class RegistryEngine {
 public:
  static RegistryEngine& Get();
  RegistryEngine(const RegistryEngine&) = delete;
  RegistryEngine& operator=(const RegistryEngine&) = delete;

  void Start() const { Run("start"); }
  void Stop() const { Run("stop"); }
  std::string url() const { return "http://127.0.0.1:" + port_ + "/apis/ccompat/v7"; }

 private:
  RegistryEngine();
  ~RegistryEngine();
  void Run(const std::string& what) const;

  std::string port_ = "28285";
};

// A value in Confluent's wire format.
std::string WireValue(std::uint32_t id, std::string_view payload);

}  // namespace sightline::registry::testing
