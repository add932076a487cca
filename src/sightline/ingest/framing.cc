#include "sightline/ingest/framing.h"

#include <string>

#include "sightline/base/bytes.h"

namespace sightline::ingest {
namespace {

bool IsBlank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

std::unexpected<Error> TooMany(std::size_t records_max) {
  return Fail(ErrorKind::kOutOfRange, "more than " + std::to_string(records_max) + " records in one request; send them in parts");
}

// Walks over a JSON text without judging it.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  void SkipBlanks() {
    while (at_ < text_.size() && IsBlank(text_[at_])) ++at_;
  }
  bool done() const { return at_ == text_.size(); }
  char peek() const { return text_[at_]; }
  void Skip() { ++at_; }
  std::size_t at() const { return at_; }

  // Up to the comma or bracket that ends an element of the outermost array, or the end; without blanks behind it. False when
  // the text ends within a string or a nested value.
  bool Element(std::string_view& element) {
    const std::size_t begin = at_;
    std::size_t depth = 0;
    std::size_t end = at_;
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (depth == 0 && (c == ',' || c == ']')) break;
      if (c == '"') {
        if (!String()) return false;
        end = at_;
        continue;
      }
      if (c == '{' || c == '[') ++depth;
      if ((c == '}' || c == ']') && depth > 0) --depth;
      ++at_;
      if (!IsBlank(c)) end = at_;
    }
    element = text_.substr(begin, end - begin);
    return depth == 0;
  }

 private:
  bool String() {
    for (++at_; at_ < text_.size(); ++at_) {
      if (text_[at_] == '\\') {
        ++at_;
      } else if (text_[at_] == '"') {
        ++at_;
        return true;
      }
    }
    at_ = text_.size();
    return false;
  }
  std::string_view text_;
  std::size_t at_ = 0;
};

}  // namespace

Status SplitJson(std::string_view body, std::size_t records_max, std::vector<std::string_view>& records) {
  Scanner scan(body);
  const auto broken = [&](std::string_view what) {
    return Fail(ErrorKind::kInvalidArgument, "the JSON array is broken at byte " + std::to_string(scan.at()) + ": " + std::string(what));
  };
  scan.SkipBlanks();
  if (scan.done()) return {};
  if (scan.peek() != '[') {
    while (!body.empty() && IsBlank(body.back())) body.remove_suffix(1);
    records.push_back(body.substr(scan.at()));
    return {};
  }
  scan.Skip();
  scan.SkipBlanks();
  bool more = scan.done() || scan.peek() != ']';
  while (more) {
    scan.SkipBlanks();
    std::string_view element;
    if (!scan.Element(element)) return broken("it ends within a record");
    if (scan.done()) return broken("there is no closing ]");
    if (element.empty()) return broken("a record is missing between two commas");
    if (records.size() == records_max) return TooMany(records_max);
    records.push_back(element);
    more = scan.peek() == ',';
    if (more) scan.Skip();
  }
  scan.Skip();
  scan.SkipBlanks();
  if (!scan.done()) return broken("there is something after the closing ]");
  return {};
}

Status SplitDelimited(std::string_view body, std::size_t records_max, std::vector<std::string_view>& records) {
  ByteReader reader(body);
  while (reader.remaining() > 0) {
    const std::size_t at = static_cast<std::size_t>(reader.position() - body.data());
    const std::string_view message = reader.GetString();
    if (!reader.ok()) {
      return Fail(ErrorKind::kInvalidArgument,
                  "the message at byte " + std::to_string(at) + " is cut short: each message must follow its length as a varint");
    }
    if (records.size() == records_max) return TooMany(records_max);
    records.push_back(message);
  }
  return {};
}

}  // namespace sightline::ingest
