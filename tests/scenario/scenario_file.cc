#include "tests/scenario/scenario_file.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "sightline/base/text.h"

namespace sightline::scenario {
namespace {

std::string_view Trim(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(" \t");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t") - begin + 1);
}

// Takes the next word off the front.
std::string_view NextWord(std::string_view& text) {
  text = Trim(text);
  const std::size_t end = std::min(text.find(' '), text.size());
  const std::string_view word = text.substr(0, end);
  text = Trim(text.substr(end));
  return word;
}

// \xHH is a byte, ${text*count} a repetition: what a line of text can't hold, or nobody wants to read.
std::string Expand(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    if (text.starts_with("\\x") && text.size() >= 4) {
      unsigned byte = 0;
      const auto [stop, error] = std::from_chars(text.data() + 2, text.data() + 4, byte, 16);
      if (error == std::errc() && stop == text.data() + 4) {
        out += static_cast<char>(byte);
        text.remove_prefix(4);
        continue;
      }
    }
    const std::size_t end = text.starts_with("${") ? text.find('}') : std::string_view::npos;
    const std::size_t star = end == std::string_view::npos ? end : text.substr(0, end).rfind('*');
    if (star != std::string_view::npos) {
      const std::int64_t count = ParseInt64(text.substr(star + 1, end - star - 1)).value_or(0);
      for (std::int64_t i = 0; i < count; ++i) out += text.substr(2, star - 2);
      text.remove_prefix(end + 1);
      continue;
    }
    out += text.front();
    text.remove_prefix(1);
  }
  return out;
}

class Parser {
 public:
  Parser(std::string_view text, const std::string& path) : path_(path), lines_(Split(text, '\n')) {
    scenario_.name = std::filesystem::path(path).stem().string();
    if (!lines_.empty() && lines_.back().empty()) lines_.pop_back();
  }

  Result<Scenario> Run() {
    while (at_ < lines_.size() && !IsHeading(lines_[at_])) ++at_;  // the description
    if (at_ == 0) return Mistake("it begins with a sentence on what it shows");
    while (at_ < lines_.size()) {
      const std::string_view heading = lines_[at_];
      ++at_;
      if (!IsHeading(heading)) return Mistake("nothing may follow here but the next section");
      SL_TRY(Section(heading.substr(3, heading.size() - 6)));
    }
    if (!scenario_.files.contains("sightline.yaml")) return Mistake("the section -- sightline.yaml -- is missing");
    return std::move(scenario_);
  }

 private:
  std::unexpected<Error> Mistake(const std::string& what) const {
    return Fail(ErrorKind::kInvalidArgument, path_ + ":" + std::to_string(at_) + ": " + what);
  }
  static bool IsHeading(std::string_view line) { return line.size() > 6 && line.starts_with("-- ") && line.ends_with(" --"); }

  Status Section(std::string_view title) {
    std::string_view rest = title;
    const std::string_view word = NextWord(rest);
    if (word == "input") return Input();
    if (word == "results") return TableOf(rest, scenario_.results);
    if (word == "dead_letters") return TableOf(rest, scenario_.dead_letters);
    if (word == "counts") return CountsOf(rest);
    if (word == "flink") return Flink(rest);
    if (word == "refused") {
      scenario_.refused = Body();
      return {};
    }
    if (!rest.empty() || title.find('.') == std::string_view::npos) {
      return Mistake("-- " + std::string(title) + " -- is neither a file nor input, results, dead_letters, counts, refused");
    }
    scenario_.files[std::string(title)] = Body();
    return {};
  }

  // "flink differs", "flink refused": a text; "flink results PIPELINE", "flink dead_letters PIPELINE": a table.
  Status Flink(std::string_view rest) {
    const std::string_view what = NextWord(rest);
    if (what == "results") return TableOf(rest, scenario_.flink_results);
    if (what == "dead_letters") return TableOf(rest, scenario_.flink_dead_letters);
    if (what != "differs" && what != "refused") return Mistake("flink differs, refused, or has results or dead_letters of a pipeline");
    std::string& text = what == "differs" ? scenario_.flink_differs : scenario_.flink_refused;
    text = Body();
    while (text.ends_with('\n')) text.pop_back();
    return {};
  }

  std::string Body() {
    std::string body;
    for (; at_ < lines_.size() && !IsHeading(lines_[at_]); ++at_) body += std::string(lines_[at_]) + "\n";
    return body;
  }

  // The next line that says something; null at the section's end.
  const std::string_view* Next() {
    while (at_ < lines_.size() && !IsHeading(lines_[at_])) {
      const std::string_view& line = lines_[at_++];
      if (!Trim(line).empty() && !Trim(line).starts_with('#')) return &line;
    }
    return nullptr;
  }

  Status Input() {
    while (const std::string_view* line = Next()) {
      InputLine input;
      input.line = static_cast<int>(at_);
      std::string_view rest = *line;
      std::string_view word = NextWord(rest);
      if (word == "restart") {
        input.kind = InputLine::Kind::kRestart;
      } else if (word == "reload") {
        input.kind = InputLine::Kind::kReload;
        input.reference = NextWord(rest);
        input.file = NextWord(rest);
        if (NextWord(rest) == "refused") input.refused = rest;
        if (input.file.empty()) return Mistake("reload needs a reference and a file");
      } else {
        SL_TRY(Record(word, rest, input));
      }
      scenario_.input.push_back(std::move(input));
    }
    return {};
  }

  // [DATASET/]PARTITION TIME RECORD
  Status Record(std::string_view place, std::string_view rest, InputLine& input) {
    if (const std::size_t slash = place.find('/'); slash != std::string_view::npos) {
      input.dataset = place.substr(0, slash);
      place.remove_prefix(slash + 1);
    }
    const Result<std::int64_t> partition = ParseInt64(place);
    const Result<std::int64_t> time = ParseInt64(NextWord(rest));
    if (!partition || !time) return Mistake("wanted is PARTITION TIME RECORD, a tick, reload or restart");
    input.partition = static_cast<std::int32_t>(*partition);
    input.append_time = *time;
    if (rest == "tick") {
      input.kind = InputLine::Kind::kTick;
    } else {
      input.bytes = Expand(rest);
    }
    return {};
  }

  // The last one may be empty: "a | b |".
  static std::vector<std::string> Cells(std::string_view text) {
    const std::string line = std::string(text) + (text.ends_with(" |") ? " " : "");
    std::vector<std::string> cells;
    for (std::size_t begin = 0; begin <= line.size();) {
      const std::size_t end = std::min(line.find(" | ", begin), line.size());
      cells.push_back(Expand(Trim(std::string_view(line).substr(begin, end - begin))));
      begin = end + 3;
    }
    return cells;
  }

  Status TableOf(std::string_view pipeline, std::map<std::string, Table>& into) {
    Table& table = into[std::string(pipeline)];
    const std::string_view* header = Next();
    if (header == nullptr) return {};  // nothing may come out
    if (*header == "not checked") {
      scenario_.unchecked.emplace_back(pipeline);
      return Next() == nullptr ? Status() : Mistake("nothing may follow \"not checked\"");
    }
    table.columns = Cells(*header);
    while (const std::string_view* line = Next()) {
      table.rows.push_back(Cells(*line));
      if (table.rows.back().size() == table.columns.size()) continue;
      return Mistake(std::to_string(table.rows.back().size()) + " cells below " + std::to_string(table.columns.size()) + " columns");
    }
    return {};
  }

  Status CountsOf(std::string_view pipeline) {
    Counts& counts = scenario_.counts[std::string(pipeline)];
    while (const std::string_view* line = Next()) {
      std::string_view rest = *line;
      std::string name(NextWord(rest));
      const Result<std::int64_t> value = ParseInt64(rest);
      if (!value) return Mistake("wanted is NAME NUMBER");
      counts.emplace_back(std::move(name), *value);
    }
    return {};
  }

  const std::string& path_;
  std::vector<std::string_view> lines_;
  std::size_t at_ = 0;
  Scenario scenario_;
};

constexpr const char* kScenarios = "tests/scenario/cases";
constexpr const char* kContracts = "tests/scenario/contracts";

std::string ReadAll(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

std::vector<std::string> Files(const char* directory, const char* ending) {
  std::vector<std::string> found;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(directory, ignored)) {
    if (entry.path().extension() == ending) found.push_back(entry.path().string());
  }
  std::sort(found.begin(), found.end());
  return found;
}

}  // namespace

int Table::Find(std::string_view column) const {
  for (std::size_t i = 0; i < columns.size(); ++i) {
    if (columns[i] == column) return static_cast<int>(i);
  }
  return -1;
}

Result<Scenario> ParseScenario(std::string_view text, const std::string& path) { return Parser(text, path).Run(); }

std::vector<std::string> ScenarioPaths() { return Files(kScenarios, ".scenario"); }

Result<std::string> TextOf(const std::string& path) {
  if (!std::filesystem::exists(path)) return Fail(ErrorKind::kNotFound, "there is no file " + path);
  return ReadAll(path);
}

Result<Scenario> LoadScenario(const std::string& path) {
  SL_ASSIGN_OR_RETURN(Scenario scenario, ParseScenario(ReadAll(path), path));
  for (const std::string& contract : Files(kContracts, ".yaml")) {
    scenario.files.try_emplace("contracts/" + std::filesystem::path(contract).filename().string(), ReadAll(contract));
  }
  return scenario;
}

}  // namespace sightline::scenario
