#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "sightline/config/property.h"
#include "sightline/config/yaml_tree.h"

namespace sightline::config {

// The name among `candidates` that `word` was probably meant to be, as "did you mean …?", or "".
std::string Meant(std::string_view word, std::span<const std::string_view> candidates);
std::string Meant(std::string_view word, const std::vector<std::string>& candidates);

// Fills the objects of a configuration from a YAML tree by the table, and collects every mistake on the way: one wrong
// setting never hides another. Settings that are missing get the table's default. Used once, by one thread.
class Reader {
 public:
  // `files` is for secrets in files; null when there can be none.
  Reader(runtime::FileSystem* files, std::string directory, const LoadOptions& options)
      : files_(files), directory_(std::move(directory)), options_(options) {}

  // `path` is the dotted name of the section, "" for the root.
  void ReadSection(const Section& section, const YamlNode& node, void* object, const std::string& path);
  std::vector<Mistake>& mistakes() { return mistakes_; }
  std::map<std::string, SourcePlace, std::less<>>& places() { return places_; }

 private:
  void ReadProperty(const Property& property, const YamlNode& node, void* object, const std::string& path);
  void ReadNested(const Property& property, const YamlNode& node, void* object, const std::string& path);
  void ReadNamedSections(const Property& property, const YamlNode& node, void* object, const std::string& path);
  void ReadSteps(const YamlNode& node, std::vector<Step>& steps, const std::string& path);
  void ApplyDefault(const Property& property, void* object, const std::string& path, const SourcePlace& around);
  void ReportUnknownKey(const Section& section, const YamlEntry& entry, const std::string& path);
  void CheckWindow(const YamlNode& node, const WindowStep& window, const std::string& path);

  // Nothing after a mistake, which is reported.
  std::optional<Value> ParseValue(const Property& property, const YamlNode& node, const std::string& path);
  std::optional<Value> ParseScalar(const Property& property, const YamlNode& node, const std::string& path);
  std::optional<Value> ParseBounded(const Property& property, const YamlNode& node, const std::string& path);
  std::optional<Value> ParseChoice(const Property& property, const YamlNode& node, const std::string& path);
  std::optional<Value> ParseNames(const Property& property, const YamlNode& node, const std::string& path);
  std::optional<Value> ParseNamedTexts(const YamlNode& node, const std::string& path);
  std::optional<Value> ParseDependencies(const Property& property, const YamlNode& node, const std::string& path);
  std::optional<Value> ParseSecret(const YamlNode& node, const std::string& path);
  bool CheckName(const YamlNode& node, ValueType type, const std::string& path);
  std::string Resolve(const YamlNode& node) const;

  void Report(const SourcePlace& place, std::string what, std::string meant = "");

  runtime::FileSystem* files_;
  std::string directory_;  // of the file; paths are relative to it
  const LoadOptions& options_;
  std::vector<Mistake> mistakes_;
  std::map<std::string, SourcePlace, std::less<>> places_;
};

}  // namespace sightline::config
