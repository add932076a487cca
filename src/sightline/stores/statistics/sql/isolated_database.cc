#include "sightline/stores/statistics/sql/isolated_database.h"

#include <vector>

namespace sightline::stores::duck {

Result<std::shared_ptr<Database>> OpenIsolated(std::uint64_t memory_bytes_max) {
  const std::vector<Database::Setting> settings = {
      {"threads", "1"},
      {"memory_limit", std::to_string(memory_bytes_max) + "B"},
      {"max_temp_directory_size", "0B"},
      {"enable_external_access", "false"},
      {"autoinstall_known_extensions", "false"},
      {"autoload_known_extensions", "false"},
      {"allow_community_extensions", "false"},
      {"allow_persistent_secrets", "false"},
  };
  return Database::Open(":memory:", settings);
}

Status LockConfiguration(Connection& connection) { return connection.Execute("SET lock_configuration = true"); }

}  // namespace sightline::stores::duck
