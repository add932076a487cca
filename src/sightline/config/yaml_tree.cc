#include "sightline/config/yaml_tree.h"

#include <istream>
#include <map>
#include <streambuf>
#include <utility>

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include "sightline/base/text.h"

namespace sightline::config {
namespace {

SourcePlace PlaceFrom(const YAML::Mark& mark, const std::string& file) {
  if (mark.is_null()) return {file, 0, 0};
  return {file, mark.line + 1, mark.column + 1};
}

// Thrown out of yaml-cpp's callbacks, which have no other way to stop; caught in ParseYaml.
struct Stop {
  YamlMistake mistake;
};

class TreeBuilder final : public YAML::EventHandler {
 public:
  explicit TreeBuilder(const std::string& file) : file_(file) {}

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override { Leaf(mark, anchor, YamlNode::Kind::kNull, "", ""); }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, const std::string& value) override {
    const bool null = tag == "?" && (value == "null" || value == "~" || value.empty());
    Leaf(mark, anchor, null ? YamlNode::Kind::kNull : YamlNode::Kind::kScalar, tag, value);
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const auto found = anchors_.find(anchor);
    if (found == anchors_.end()) throw Stop{{PlaceFrom(mark, file_), "an alias inside the thing it stands for"}};
    nodes_ += found->second.second;
    CheckBudget(mark);
    Attach(YamlNode(found->second.first));
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor, YAML::EmitterStyle::value) override {
    Open(mark, anchor, YamlNode::Kind::kSequence);
  }
  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor, YAML::EmitterStyle::value) override {
    Open(mark, anchor, YamlNode::Kind::kMap);
  }
  void OnSequenceEnd() override { Close(); }
  void OnMapEnd() override { Close(); }

  YamlNode Take() { return std::move(root_); }

 private:
  struct Frame {
    YamlNode node;
    YAML::anchor_t anchor = 0;
    std::size_t nodes_before = 0;
    bool has_key = false;
    YamlNode key;
  };

  void CheckBudget(const YAML::Mark& mark) {
    if (nodes_ > kYamlNodesMax) {
      throw Stop{{PlaceFrom(mark, file_), "more than " + std::to_string(kYamlNodesMax) + " values (aliases count as what they stand for)"}};
    }
  }
  void Leaf(const YAML::Mark& mark, YAML::anchor_t anchor, YamlNode::Kind kind, const std::string& tag, const std::string& value) {
    ++nodes_;
    CheckBudget(mark);
    YamlNode node;
    node.kind = kind;
    node.place = PlaceFrom(mark, file_);
    if (kind == YamlNode::Kind::kScalar) node.text = value;
    node.quoted = tag == "!";
    if (anchor != 0) anchors_.insert_or_assign(anchor, std::pair(node, std::size_t{1}));
    Attach(std::move(node));
  }
  void Open(const YAML::Mark& mark, YAML::anchor_t anchor, YamlNode::Kind kind) {
    Frame frame;
    frame.nodes_before = nodes_++;
    CheckBudget(mark);
    frame.node.kind = kind;
    frame.node.place = PlaceFrom(mark, file_);
    frame.anchor = anchor;
    stack_.push_back(std::move(frame));
  }
  void Close() {
    Frame frame = std::move(stack_.back());
    stack_.pop_back();
    if (frame.anchor != 0) {
      const std::size_t size = nodes_ - frame.nodes_before;
      anchors_.insert_or_assign(frame.anchor, std::pair(frame.node, size));
      nodes_ += size;  // the copy kept for aliases takes memory too: anchors within anchors must not multiply it
    }
    Attach(std::move(frame.node));
  }
  void Attach(YamlNode node) {
    if (stack_.empty()) {
      root_ = std::move(node);
      return;
    }
    Frame& frame = stack_.back();
    if (frame.node.kind == YamlNode::Kind::kSequence) {
      frame.node.items.push_back(std::move(node));
    } else if (!frame.has_key) {
      frame.key = std::move(node);
      frame.has_key = true;
    } else {
      frame.node.entries.push_back({std::move(frame.key), std::move(node)});
      frame.has_key = false;
    }
  }

  const std::string& file_;
  std::vector<Frame> stack_;
  std::map<YAML::anchor_t, std::pair<YamlNode, std::size_t>> anchors_;
  std::size_t nodes_ = 0;
  YamlNode root_;
};

// Reads from a view without a copy.
class ViewBuffer final : public std::streambuf {
 public:
  explicit ViewBuffer(std::string_view text) {
    char* begin = const_cast<char*>(text.data());
    setg(begin, begin, begin + text.size());
  }
};

}  // namespace

const YamlNode* YamlNode::Find(std::string_view key) const {
  for (const YamlEntry& entry : entries) {
    if (entry.key.kind == Kind::kScalar && entry.key.text == key) return &entry.value;
  }
  return nullptr;
}

std::string YamlNode::Describe() const {
  switch (kind) {
    case Kind::kNull: return "nothing";
    case Kind::kSequence: return "a list";
    case Kind::kMap: return "a map";
    case Kind::kScalar: break;
  }
  constexpr std::size_t kShown = 60;
  std::string shown;
  AppendJsonString(shown, text.size() <= kShown ? std::string_view(text) : std::string_view(text).substr(0, kShown));
  return text.size() <= kShown ? shown : shown + "…";
}

std::expected<YamlNode, YamlMistake> ParseYaml(std::string_view text, const std::string& file) {
  if (text.size() > kYamlBytesMax) {
    return std::unexpected(YamlMistake{{file, 0, 0}, "larger than " + FormatBytes(kYamlBytesMax)});
  }
  if (!IsUtf8(text)) return std::unexpected(YamlMistake{{file, 0, 0}, "not UTF-8 text"});
  if (const std::size_t nul = text.find('\0'); nul != std::string_view::npos) {
    return std::unexpected(YamlMistake{{file, 0, 0}, "a NUL byte at position " + std::to_string(nul)});
  }
  TreeBuilder builder(file);
  try {
    ViewBuffer buffer(text);
    std::istream stream(&buffer);
    YAML::Parser parser(stream);
    if (!parser.HandleNextDocument(builder)) {
      YamlNode nothing;
      nothing.place = {file, 1, 1};
      return nothing;
    }
    YamlNode root = builder.Take();
    TreeBuilder second(file);
    if (parser.HandleNextDocument(second)) {
      return std::unexpected(YamlMistake{second.Take().place, "a second document; one file holds one"});
    }
    return root;
  } catch (const Stop& stop) {
    return std::unexpected(stop.mistake);
  } catch (const YAML::Exception& error) {
    return std::unexpected(YamlMistake{PlaceFrom(error.mark, file), "not valid YAML: " + error.msg});
  }
}

}  // namespace sightline::config
