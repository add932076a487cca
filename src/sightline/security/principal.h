#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sightline/base/result.h"

namespace sightline::security {

// What a principal may do. Every route names the one it needs.
enum class Permission : std::uint8_t {
  kIngestWrite,  // offer records to a dataset
  kResultsRead,  // results, live views, references, status
  kTopicsRead,   // raw records and dead letters
  kTopicsWrite,  // append to topics, replay dead letters
  kSqlRun,       // read-only SQL over the statistics
  kAdmin,        // reload references, read the audit; implies all others
  kMetricsRead,  // /metrics
};
inline constexpr std::size_t kPermissions = 7;

// The name in configuration, JSON and OpenAPI: "ingest.write".
std::string_view PermissionName(Permission permission);
// kInvalidArgument, with the name that was probably meant.
Result<Permission> ParsePermission(std::string_view name);

class Permissions {
 public:
  constexpr Permissions() = default;
  constexpr Permissions(std::initializer_list<Permission> list) {
    for (const Permission p : list) Add(p);
  }
  static constexpr Permissions All() {
    Permissions all;
    all.bits_ = (1U << kPermissions) - 1;
    return all;
  }
  constexpr void Add(Permission p) { bits_ |= 1U << static_cast<unsigned>(p); }
  // kAdmin implies everything.
  constexpr bool Has(Permission p) const {
    const std::uint32_t admin = 1U << static_cast<unsigned>(Permission::kAdmin);
    return (bits_ & (admin | 1U << static_cast<unsigned>(p))) != 0;
  }
  std::vector<std::string_view> Names() const;
  friend constexpr bool operator==(Permissions, Permissions) = default;

 private:
  std::uint32_t bits_ = 0;
};

// The rows that a principal may see: the one hook that every query and live view passes. Without a value nothing is hidden;
// with one, only rows whose `column` holds one of `values` are (an int64 in decimal), and relations without the column not at all.
struct GrantFilter {
  std::string column;
  std::vector<std::string> values;  // sorted
};

// Who is asking. A value; copied into the request.
struct Principal {
  std::string name;
  Permissions permissions;
  std::optional<GrantFilter> grants;
};

}  // namespace sightline::security
