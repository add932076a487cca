#include "apps/sightline/roles.h"

#include <array>
#include <utility>
#include <vector>

#include "sightline/base/text.h"

namespace sightline::app {
namespace {

constexpr std::array<std::pair<std::string_view, bool Roles::*>, 4> kRoles = {
    {{"ingest", &Roles::ingest}, {"gate", &Roles::gate}, {"flow", &Roles::flow}, {"serve", &Roles::serve}}};

}  // namespace

std::string Roles::ToString() const {
  std::string text;
  for (const auto& [name, role] : kRoles) {
    if (this->*role) text += (text.empty() ? "" : ",") + std::string(name);
  }
  return text;
}

Result<Roles> ParseRoles(std::string_view text) {
  if (text.empty()) return Roles();
  Roles roles{.ingest = false, .gate = false, .flow = false, .serve = false};
  while (true) {
    const std::size_t comma = text.find(',');
    const std::string_view name = text.substr(0, comma);
    bool known = false;
    for (const auto& [role_name, role] : kRoles) {
      if (role_name != name) continue;
      roles.*role = known = true;
    }
    if (!known) {
      std::vector<std::string_view> names;
      for (const auto& [role_name, role] : kRoles) names.push_back(role_name);
      const std::string_view near = DidYouMean(name, names);
      return Fail(ErrorKind::kInvalidArgument, "--roles takes a list of ingest, gate, flow and serve, not '" + std::string(name) + "'" +
                                                   (near.empty() ? "" : "; did you mean '" + std::string(near) + "'?"));
    }
    if (comma == std::string_view::npos) return roles;
    text.remove_prefix(comma + 1);
  }
}

}  // namespace sightline::app
