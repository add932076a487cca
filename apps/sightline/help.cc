// The help texts, from the commands' own descriptions.
#include <algorithm>
#include <array>

#include "apps/sightline/framework.h"
#include "apps/sightline/output.h"

namespace sightline::app {
namespace {

constexpr std::size_t kWidth = 100;

// `text` with lines of at most kWidth, each but the first indented.
std::string Wrapped(std::string_view text, std::size_t indent) {
  std::string out;
  std::size_t column = indent;
  for (std::size_t at = 0; at < text.size();) {
    std::size_t end = text.find(' ', at);
    if (end == std::string_view::npos) end = text.size();
    const std::size_t width = DisplayWidth(text.substr(at, end - at));
    if (column > indent && column + 1 + width > kWidth) {
      out += "\n" + std::string(indent, ' ');
      column = indent;
    } else if (column > indent) {
      out += ' ';
      ++column;
    }
    out += text.substr(at, end - at);
    column += width;
    at = end + 1;
  }
  return out;
}

using Lines = std::vector<std::pair<std::string, std::string>>;

std::string TwoColumns(const Lines& lines) {
  constexpr std::size_t kLeftMax = 28;
  std::size_t left = 0;
  for (const auto& [first, second] : lines) left = std::max(left, std::min(first.size(), kLeftMax));
  std::string out;
  for (const auto& [first, second] : lines) {
    out += "  " + first;
    if (first.size() > left) {
      out += "\n" + std::string(left + 4, ' ');
    } else {
      out += std::string(left - first.size() + 2, ' ');
    }
    out += Wrapped(second, left + 4) + "\n";
  }
  return out;
}

std::string Spelled(const Command::OptionSpec& option) {
  return (option.short_name.empty() ? "" : option.short_name + ", ") + option.name + (option.value.empty() ? "" : " " + option.value);
}

Lines OptionLines(const Command& command) {
  Lines lines;
  for (const auto& option : command.options()) lines.emplace_back(Spelled(option), option.help);
  return lines;
}

}  // namespace

std::string CommandLine::HelpOf(const Command& command) const {
  std::string out = "sightline " + command.name() + ": " + command.summary() + "\n\nUsage: sightline " + command.name();
  for (const auto& argument : command.arguments()) {
    const bool many = std::holds_alternative<std::vector<std::string>*>(argument.target);
    const std::string shown = argument.name + (many ? "…" : "");
    out += argument.need == Need::kRequired ? " " + shown : " [" + shown + "]";
  }
  out += " [OPTIONS]\n";
  if (!command.description().empty()) out += "\n" + Wrapped(command.description(), 0) + "\n";
  if (!command.arguments().empty()) {
    Lines lines;
    for (const auto& argument : command.arguments()) lines.emplace_back(argument.name, argument.help);
    out += "\nArguments:\n" + TwoColumns(lines);
  }
  if (!command.options().empty()) out += "\nOptions:\n" + TwoColumns(OptionLines(command));
  out += "\nGlobal options:\n" + TwoColumns(OptionLines(globals_));
  if (!command.examples().empty()) {
    out += "\nExamples:\n";
    for (const auto& [line, what] : command.examples()) out += "  # " + what + "\n  " + line + "\n";
  }
  return out;
}

std::string CommandLine::Overview() const {
  std::string out =
      "sightline: what cameras see, counted and ranked within milliseconds, exactly once.\n\n"
      "Usage: sightline COMMAND [OPTIONS]\n";
  constexpr std::array<std::pair<Group, std::string_view>, 4> kGroups = {
      {{Group::kRun, "Run"}, {Group::kConfigure, "Configure"}, {Group::kData, "Look into the data"}, {Group::kAbout, "About"}}};
  for (const auto& [group, title] : kGroups) {
    Lines lines;
    for (const auto& command : commands_) {
      if (command->group() == group && command->name().find(' ') == std::string::npos)
        lines.emplace_back(command->name(), command->summary());
    }
    for (const auto& family : families_) {
      if (family->group() == group) lines.emplace_back(family->name(), family->summary());
    }
    if (!lines.empty()) out += "\n" + std::string(title) + ":\n" + TwoColumns(lines);
  }
  return out + "\nGlobal options:\n" + TwoColumns(OptionLines(globals_)) +
         "\nsightline COMMAND --help explains a command, with examples.\n";
}

std::string CommandLine::Help(std::string_view name) const {
  if (name.empty()) return Overview();
  for (const auto& command : commands_) {
    if (command->name() == name) return HelpOf(*command);
  }
  Lines lines;
  std::string summary;
  for (const auto& family : families_) {
    if (family->name() == name) summary = ": " + family->summary();
  }
  for (const auto& command : commands_) {
    if (command->name().starts_with(std::string(name) + " "))
      lines.emplace_back(command->name().substr(name.size() + 1), command->summary());
  }
  return "sightline " + std::string(name) + summary + "\n\nUsage: sightline " + std::string(name) + " COMMAND [OPTIONS]\n\nCommands:\n" +
         TwoColumns(lines);
}

}  // namespace sightline::app
