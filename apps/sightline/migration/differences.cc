#include "apps/sightline/migration/differences.h"

#include <map>

#include "sightline/config/describe.h"

namespace sightline::app {
namespace {

constexpr std::uint64_t kFileMax = 1ULL << 30;
constexpr const char* kNotSet = "not set";

bool MayDiffer(const std::string& path) { return path == "data" || path.starts_with("drivers.") || path.starts_with("listen."); }

bool SameContents(runtime::FileSystem& files, const std::string& a, const std::string& b) {
  const auto first = runtime::ReadFile(files, a, kFileMax);
  const auto second = runtime::ReadFile(files, b, kFileMax);
  return first && second && *first == *second;
}

// Files that a setting names, by its path.
std::map<std::string, std::string> NamedFiles(const config::Config& config) {
  std::map<std::string, std::string> files;
  for (const config::DatasetConfig& dataset : config.datasets) files["datasets." + dataset.name + ".contract"] = dataset.contract_file;
  for (const config::ReferenceConfig& reference : config.references) {
    files["references." + reference.name + ".contract"] = reference.contract_file;
    if (!reference.from.empty()) files["references." + reference.name + ".from"] = reference.from;
  }
  return files;
}

std::string Written(const config::Setting& setting) { return setting.value + " (" + setting.origin + ")"; }

}  // namespace

std::string Difference::ToString() const { return path + ": " + from + ", " + to; }

std::vector<Difference> DifferencesOf(runtime::FileSystem& files, const config::Config& from, const config::Config& to) {
  const std::map<std::string, std::string> from_files = NamedFiles(from);
  const std::map<std::string, std::string> to_files = NamedFiles(to);
  std::map<std::string, config::Setting> others;
  for (config::Setting& setting : config::Settings(to)) others.emplace(setting.path, std::move(setting));
  std::vector<Difference> differences;
  for (const config::Setting& setting : config::Settings(from)) {
    const auto other = others.find(setting.path);
    if (other == others.end()) {
      if (!MayDiffer(setting.path)) differences.push_back({setting.path, Written(setting), kNotSet});
      continue;
    }
    const config::Setting there = std::move(other->second);
    others.erase(other);
    if (there.value == setting.value || MayDiffer(setting.path)) continue;
    const auto first = from_files.find(setting.path);
    const auto second = to_files.find(setting.path);
    if (first != from_files.end() && second != to_files.end() && SameContents(files, first->second, second->second)) continue;
    differences.push_back({setting.path, Written(setting), Written(there)});
  }
  for (const auto& [path, setting] : others) {
    if (!MayDiffer(path)) differences.push_back({path, kNotSet, Written(setting)});
  }
  return differences;
}

}  // namespace sightline::app
