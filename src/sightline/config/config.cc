#include "sightline/config/config.h"

#include <algorithm>
#include <filesystem>
#include <set>
#include <tuple>

#include "sightline/base/text.h"
#include "sightline/config/postgres_table.h"
#include "sightline/config/reader.h"
#include "sightline/config/semantics.h"
#include "sightline/config/table.h"
#include "sightline/config/yaml_tree.h"
#include "sightline/model/object_key.h"

namespace sightline::config {
namespace {

// Puts an override's value where the file's would stand.
void ApplyOverride(const Override& set, YamlNode& root, std::vector<Mistake>& mistakes) {
  YamlNode* node = &root;
  for (const std::string_view name : Split(set.path, '.')) {
    if (node->kind == YamlNode::Kind::kNull) node->kind = YamlNode::Kind::kMap;
    if (node->kind != YamlNode::Kind::kMap) return;  // a mistake of the file's, reported when it is read
    auto found = std::ranges::find_if(node->entries, [name](const YamlEntry& entry) { return entry.key.text == name; });
    if (found == node->entries.end()) {
      YamlEntry entry;
      entry.key.kind = YamlNode::Kind::kScalar;
      entry.key.text = std::string(name);
      entry.key.place = {set.origin, 0, 0};
      entry.value.place = {set.origin, 0, 0};
      node->entries.push_back(std::move(entry));
      found = node->entries.end() - 1;
    }
    node = &found->value;
  }
  auto value = ParseYaml(set.value, set.origin);
  if (!value) {
    mistakes.push_back({{set.origin, 0, 0}, value.error().what, ""});
    return;
  }
  *node = std::move(*value);
  node->place = {set.origin, 0, 0};
  node->from_override = true;
}

template <typename List>
auto* FindNamed(List& list, std::string_view name) {
  const auto found = std::ranges::find_if(list, [name](const auto& element) { return element.name == name; });
  return found == list.end() ? nullptr : &*found;
}

}  // namespace

std::string_view PostgresTlsModeName(PostgresTlsMode mode) { return internal::kPostgresTlsModes[static_cast<std::size_t>(mode)]; }

bool Endpoint::loopback() const {
  if (host == "localhost" || host == "::1") return true;
  const auto parts = Split(host, '.');
  if (parts.size() != 4 || parts[0] != "127") return false;
  return std::ranges::all_of(parts, [](std::string_view part) {
    const auto number = ParseInt64(part);
    return number && *number >= 0 && *number <= 255;
  });
}

std::string Endpoint::ToString() const {
  const bool v6 = host.find(':') != std::string::npos;
  return (v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

Result<std::optional<ObjectUrl>> ParseObjectUrl(std::string_view text) {
  constexpr std::string_view kConfigured = "objects:";
  const std::string quoted = "\"" + std::string(text) + "\"";
  ObjectUrl url;
  if (text.starts_with(kConfigured)) {
    url.key = text.substr(kConfigured.size());
  } else {
    const std::size_t scheme = text.find("://");
    const bool letters =
        scheme != 0 && scheme != std::string_view::npos && std::ranges::all_of(text.substr(0, scheme), [](char c) {
          return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.';
        });
    if (!letters) return std::optional<ObjectUrl>();
    const std::string_view name = text.substr(0, scheme);
    if (name == "s3") {
      url.type = ObjectsType::kS3;
    } else if (name == "gs") {
      url.type = ObjectsType::kGcs;
    } else if (name == "hdfs") {
      url.type = ObjectsType::kHdfs;
    } else {
      return Fail(
          ErrorKind::kInvalidArgument,
          quoted +
              " begins with a scheme that is not known; there are objects:KEY, s3://BUCKET/KEY, gs://BUCKET/KEY and hdfs://HOST:PORT/PATH");
    }
    const std::string_view rest = text.substr(scheme + 3);
    const std::size_t slash = rest.find('/');
    if (slash == 0 || slash == std::string_view::npos) {
      return Fail(ErrorKind::kInvalidArgument,
                  quoted + " lacks " + (slash == 0 ? "the bucket or host before" : "the key behind") + " the '/'");
    }
    url.bucket = rest.substr(0, slash);
    url.key = rest.substr(slash + 1);
  }
  if (const Status valid = ValidateObjectKey(url.key); !valid)
    return Fail(ErrorKind::kInvalidArgument, quoted + ": " + valid.error().message);
  return std::optional<ObjectUrl>(std::move(url));
}

Result<Endpoint> ParseEndpoint(std::string_view text) {
  const auto refuse = [&](std::string_view why) {
    std::string message;
    AppendJsonString(message, text.substr(0, 80));
    return Fail(ErrorKind::kInvalidArgument,
                message + " is not an address: " + std::string(why) + "; write host:port, such as 127.0.0.1:8080 or [::1]:8080");
  };
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return refuse("the port is missing");
  std::string_view host = text.substr(0, colon);
  const auto port = ParseInt64(text.substr(colon + 1));
  if (!port || *port < 0 || *port > 65535) return refuse("the port must be a number from 0 to 65535");
  if (host.starts_with('[')) {
    if (!host.ends_with(']') || host.size() < 4) return refuse("the bracket is not closed");
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    return refuse("an IPv6 address stands in brackets");
  }
  if (host.empty()) return refuse("the host is missing");
  const bool clean = std::ranges::all_of(host, [](char c) { return c > ' ' && c < 127 && c != '/' && c != '@' && c != '[' && c != ']'; });
  if (!clean) return refuse("the host has a character that no address has");
  return Endpoint{std::string(host), static_cast<std::uint16_t>(*port)};
}

std::vector<std::string> DatasetConfig::Determined(const std::vector<std::string>& columns) const {
  std::vector<std::string> known = columns;
  for (std::size_t i = 0; i < known.size(); ++i) {  // grows while it goes: what is determined determines more
    for (const auto& [from, to] : determines) {
      if (from != known[i]) continue;
      for (const std::string& determined : to) {
        if (std::ranges::find(known, determined) == known.end()) known.push_back(determined);
      }
    }
  }
  return known;
}

std::vector<std::string> DatasetConfig::ImpliesPartition() const {
  std::vector<std::string> implying;
  for (const auto& [from, to] : determines) {
    const std::vector<std::string> known = Determined({from});
    if (from != partition_by && std::ranges::find(known, partition_by) != known.end()) implying.push_back(from);
  }
  return implying;
}

const DatasetConfig* Config::FindDataset(std::string_view name) const { return FindNamed(datasets, name); }
const ReferenceConfig* Config::FindReference(std::string_view name) const { return FindNamed(references, name); }
const PipelineSpec* Config::FindPipeline(std::string_view name) const { return FindNamed(pipelines, name); }

std::vector<const PipelineSpec*> Config::ChainOf(const PipelineSpec& pipeline) const {
  std::vector<const PipelineSpec*> chain;
  for (const PipelineSpec* at = &pipeline; at != nullptr && chain.size() <= pipelines.size(); at = FindPipeline(at->from))
    chain.push_back(at);
  std::ranges::reverse(chain);
  return chain;
}

const DatasetConfig* Config::RootOf(const PipelineSpec& pipeline) const { return FindDataset(ChainOf(pipeline).front()->from); }

bus::TopicSpec Config::TopicOf(const DatasetConfig& dataset) const {
  bus::TopicSpec spec;
  spec.name = dataset.topic;
  spec.partitions = dataset.partitions;
  spec.durability = dataset.durability.value_or(drivers.bus.durability);
  spec.interval = drivers.bus.interval;
  spec.retain_time = dataset.retain.time;
  spec.retain_bytes = dataset.retain.bytes / static_cast<std::uint64_t>(dataset.partitions);
  spec.when_full = dataset.when_full.value_or(drivers.bus.when_full);
  spec.compression = dataset.compression;
  spec.segment_bytes = drivers.bus.segment_bytes;
  return spec;
}

SourcePlace Config::PlaceOf(std::string_view path) const {
  while (!path.empty()) {
    if (const auto found = places.find(path); found != places.end()) return found->second;
    const std::size_t cut = path.find_last_of(".[");
    path = cut == std::string_view::npos ? std::string_view() : path.substr(0, cut);
  }
  return {file, 1, 1};
}

Loaded LoadConfigReportingAll(runtime::FileSystem& files, const std::string& path, const LoadOptions& options) {
  Loaded loaded;
  const auto text = runtime::ReadFile(files, path, kYamlBytesMax);
  if (!text) {
    const bool missing = text.error().kind == ErrorKind::kNotFound;
    loaded.mistakes.push_back({{missing ? "" : path, 0, 0},
                               missing ? "there is no configuration file " + path : text.error().message,
                               missing ? "give its path, for example presets/top-items/sightline.yaml" : ""});
    return loaded;
  }
  auto root = ParseYaml(*text, path);
  if (!root) {
    loaded.mistakes.push_back({root.error().place, root.error().what, ""});
    return loaded;
  }
  for (const Override& set : options.overrides) ApplyOverride(set, *root, loaded.mistakes);

  Config config;
  config.file = path;
  Reader reader(&files, std::filesystem::path(path).parent_path().string(), options);
  reader.ReadSection(RootSection(), *root, &config, "");
  config.places = std::move(reader.places());
  for (Mistake& mistake : reader.mistakes()) loaded.mistakes.push_back(std::move(mistake));
  CheckSemantics(files, config, loaded.mistakes);

  // A contract used twice is wrong once.
  std::set<std::string> seen;
  std::erase_if(loaded.mistakes, [&seen](const Mistake& mistake) { return !seen.insert(mistake.ToString()).second; });
  std::ranges::stable_sort(loaded.mistakes, {},
                           [](const Mistake& mistake) { return std::tuple(mistake.place.line, mistake.place.column); });
  if (loaded.mistakes.empty()) loaded.config = std::move(config);
  return loaded;
}

Config Defaults() {
  Config config;
  const LoadOptions options;
  Reader reader(nullptr, "", options);
  reader.ReadSection(RootSection(), YamlNode(), &config, "");  // what is required is reported missing, and all else filled in
  config.version = 1;
  return config;
}

Result<Config> LoadConfig(runtime::FileSystem& files, const std::string& path, const LoadOptions& options) {
  SL_ASSIGN_OR_RETURN(const bool exists, files.Exists(path));
  Loaded loaded = LoadConfigReportingAll(files, path, options);
  if (loaded.config) return std::move(*loaded.config);
  std::string message;
  for (const Mistake& mistake : loaded.mistakes) message += (message.empty() ? "" : "\n") + mistake.ToString();
  return Fail(exists ? ErrorKind::kInvalidArgument : ErrorKind::kNotFound, std::move(message));
}

}  // namespace sightline::config
