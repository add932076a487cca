#include "sightline/security/principal.h"

#include <array>

#include "sightline/base/text.h"

namespace sightline::security {
namespace {
constexpr std::array<std::string_view, kPermissions> kNames = {"ingest.write", "results.read", "topics.read", "topics.write",
                                                               "sql.run",      "admin",        "metrics.read"};
}  // namespace

std::string_view PermissionName(Permission permission) { return kNames[static_cast<std::size_t>(permission)]; }

Result<Permission> ParsePermission(std::string_view name) {
  for (std::size_t i = 0; i < kNames.size(); ++i) {
    if (kNames[i] == name) return static_cast<Permission>(i);
  }
  std::string message = "there is no permission '" + std::string(name) + "'";
  if (const auto near = DidYouMean(name, kNames); !near.empty()) message += "; did you mean '" + std::string(near) + "'?";
  return Fail(ErrorKind::kInvalidArgument, std::move(message));
}

std::vector<std::string_view> Permissions::Names() const {
  std::vector<std::string_view> names;
  for (std::size_t i = 0; i < kPermissions; ++i) {
    if (Has(static_cast<Permission>(i))) names.push_back(kNames[i]);
  }
  return names;
}

}  // namespace sightline::security
