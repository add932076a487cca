#include "connectors/registry/testing/registry_engine.h"

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdlib>

namespace sightline::registry::testing {

RegistryEngine& RegistryEngine::Get() {
  static RegistryEngine engine;
  return engine;
}

RegistryEngine::RegistryEngine() {
  if (const char* port = std::getenv("SIGHTLINE_TEST_REGISTRY_PORT"); port != nullptr) port_ = port;
  Start();
}

RegistryEngine::~RegistryEngine() { Stop(); }

// The tests' working directory is the repository's root.
void RegistryEngine::Run(const std::string& what) const {
  const std::string command = "REGISTRY_PORT=" + port_ + " tools/engines/engines registry " + what;
  ASSERT_EQ(std::system(command.c_str()), 0) << command;  // NOLINT(cert-env33-c): a script of ours with arguments of ours
}

std::string WireValue(std::uint32_t id, std::string_view payload) {
  std::string value(1, '\0');
  for (int shift = 24; shift >= 0; shift -= 8) value += static_cast<char>(id >> shift);
  return value.append(payload);
}

}  // namespace sightline::registry::testing
