#include "apps/sightline/framework.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <ostream>
#include <span>

#include <CLI/CLI.hpp>

#include "sightline/base/text.h"

#include "apps/sightline/output.h"

namespace sightline::app {
namespace {

std::string Meant(std::string_view word, const std::vector<std::string_view>& candidates) {
  const std::string_view near = DidYouMean(word, std::span(candidates));
  return near.empty() ? "" : "; did you mean " + std::string(near) + "?";
}

std::expected<void, std::string> AssignText(const Command::OptionSpec& option, const std::string& text) {
  const auto number = [&](auto* into) -> std::expected<void, std::string> {
    std::decay_t<decltype(*into)> value{};
    const char* end = text.data() + text.size();
    const auto [rest, failure] = std::from_chars(text.data(), end, value);
    if (failure != std::errc() || rest != end) return std::unexpected("\"" + text + "\" is not a number that " + option.name + " can take");
    *into = value;
    return {};
  };
  if (!option.choices.empty() && std::ranges::find(option.choices, text) == option.choices.end()) {
    const std::vector<std::string_view> choices(option.choices.begin(), option.choices.end());
    std::string known;
    for (const std::string& choice : option.choices) known += (known.empty() ? "" : ", ") + choice;
    const std::string meant = Meant(text, choices);
    return std::unexpected(option.name + " cannot be \"" + text + "\"" + (meant.empty() ? "; it can be " + known : meant));
  }
  if (auto* const* into = std::get_if<std::string*>(&option.target)) {
    **into = text;
  } else if (auto* const* texts = std::get_if<std::vector<std::string>*>(&option.target)) {
    (*texts)->push_back(text);
  } else if (auto* const* int64 = std::get_if<std::int64_t*>(&option.target)) {
    return number(*int64);
  } else if (auto* const* uint64 = std::get_if<std::uint64_t*>(&option.target)) {
    return number(*uint64);
  } else if (auto* const* real = std::get_if<double*>(&option.target)) {
    return number(*real);
  } else if (auto* const* duration = std::get_if<std::chrono::milliseconds*>(&option.target)) {
    auto parsed = ParseDuration(text);
    if (!parsed) return std::unexpected(option.name + ": " + parsed.error().message);
    **duration = *parsed;
  } else if (const auto* bytes = std::get_if<Command::ByteTarget>(&option.target)) {
    auto parsed = ParseBytes(text);
    if (!parsed) return std::unexpected(option.name + ": " + parsed.error().message);
    *bytes->bytes = *parsed;
  }
  return {};
}

const Command::OptionSpec* FindOption(const std::vector<Command::OptionSpec>& options, std::string_view name) {
  const auto found = std::ranges::find_if(options, [name](const Command::OptionSpec& option) {
    return option.name == name || (!option.short_name.empty() && option.short_name == name);
  });
  return found == options.end() ? nullptr : &*found;
}

// An option whose value may be left out ("[URL]") stands alone where no URL follows.
bool StandsAlone(const Command::OptionSpec& option, const std::vector<std::string>& arguments, std::size_t at) {
  return option.value.starts_with('[') && (at + 1 == arguments.size() || arguments[at + 1].find("://") == std::string::npos);
}

}  // namespace

std::string Context::ConfigFile(const std::string& given) const {
  if (!given.empty()) return given;
  return config_file.empty() ? "sightline.yaml" : config_file;
}

config::LoadOptions Context::LoadOptions() const {
  config::LoadOptions options;
  options.environment = world.environment;
  // Quoted, so that a directory of any name stays a text.
  if (!data.empty()) {
    std::string quoted;
    AppendJsonString(quoted, data);
    options.overrides.push_back({"data", quoted, "--data"});
  }
  return options;
}

Result<config::Config> Context::LoadConfig(const std::string& given) const {
  return config::LoadConfig(world.files, ConfigFile(given), LoadOptions());
}

Result<std::string> Context::DataDirectory() const {
  if (!data.empty()) return data;
  SL_ASSIGN_OR_RETURN(const bool configured, world.files.Exists(ConfigFile()));
  if (!configured && config_file.empty()) return "data";
  SL_ASSIGN_OR_RETURN(const config::Config config, LoadConfig());
  return config.data;
}

Exit BadUsage(const Context& context, const std::string& message) {
  context.err() << "sightline: " << message << "\n";
  return Exit::kUsage;
}

Command& Command::Describe(std::string text) {
  description_ = std::move(text);
  return *this;
}
Command& Command::Argument(std::string name, std::string& into, std::string help, Need need, std::vector<std::string> choices) {
  arguments_.push_back({.name = std::move(name),
                        .short_name = "",
                        .value = "",
                        .help = std::move(help),
                        .target = &into,
                        .choices = std::move(choices),
                        .need = need});
  return *this;
}
Command& Command::Arguments(std::string name, std::vector<std::string>& into, std::string help, Need need) {
  arguments_.push_back(
      {.name = std::move(name), .short_name = "", .value = "", .help = std::move(help), .target = &into, .choices = {}, .need = need});
  return *this;
}
Command& Command::Option(std::string_view spelled, Target into, std::string help, std::vector<std::string> choices) {
  OptionSpec option{.name = "",
                    .short_name = "",
                    .value = "",
                    .help = std::move(help),
                    .target = into,
                    .choices = std::move(choices),
                    .need = Need::kOptional};
  if (const std::size_t comma = spelled.find(", "); comma != std::string_view::npos) {
    option.short_name = std::string(spelled.substr(0, comma));
    spelled.remove_prefix(comma + 2);
  }
  const std::size_t blank = spelled.find(' ');
  option.name = std::string(spelled.substr(0, blank));
  if (blank != std::string_view::npos) option.value = std::string(spelled.substr(blank + 1));
  options_.push_back(std::move(option));
  return *this;
}
Command& Command::Flag(std::string_view spelled, bool& into, std::string help) { return Option(spelled, &into, std::move(help)); }
Command& Command::Example(std::string line, std::string what) {
  examples_.emplace_back(std::move(line), std::move(what));
  return *this;
}
Command& Command::Run(std::function<Result<Exit>(Context&)> run) {
  run_ = std::move(run);
  return *this;
}

struct CommandLine::Globals {
  std::string format = "table";
  std::string config_file;
  std::string data;
  std::string log_level = "info";
  bool no_color = false;
  bool help = false;
  bool version = false;
};

// What a look at the words finds before anything is assigned.
struct CommandLine::Scan {
  const Command* command = nullptr;
  std::string words;  // of the command or family
  std::size_t words_read = 0;
  bool help = false;
  bool version = false;
};

CommandLine::CommandLine(World& world) : world_(world), values_(std::make_unique<Globals>()), globals_("", "", Group::kAbout) {
  globals_.Option("--format FORMAT", &values_->format, "how results are printed: table, json or csv", {"table", "json", "csv"})
      .Option("--config FILE", &values_->config_file, "the configuration file (SIGHTLINE_CONFIG; else ./sightline.yaml)")
      .Option("--data DIR", &values_->data, "the data directory, before the configuration's (SIGHTLINE_DATA)")
      .Option("--log-level LEVEL", &values_->log_level, "debug, info, warn or error", {"debug", "info", "warn", "error"})
      .Flag("--no-color", values_->no_color, "no colours (NO_COLOR)")
      .Flag("-h, --help", values_->help, "help, also of a command");
}
CommandLine::~CommandLine() = default;

Command& CommandLine::Add(std::string name, std::string summary, Group group) {
  return *commands_.emplace_back(std::make_unique<Command>(std::move(name), std::move(summary), group));
}
void CommandLine::AddFamily(std::string word, std::string summary, Group group) {
  families_.push_back(std::make_unique<Command>(std::move(word), std::move(summary), group));
}

const Command* CommandLine::Find(std::string_view name) const {
  for (const auto* list : {&commands_, &families_}) {
    for (const auto& command : *list) {
      if (command->name() == name) return command.get();
    }
  }
  return nullptr;
}

std::vector<std::string_view> CommandLine::Words(std::string_view prefix) const {
  std::vector<std::string_view> words;
  for (const auto& command : commands_) {
    std::string_view name = command->name();
    if (!prefix.empty()) {
      if (!name.starts_with(prefix) || name.size() <= prefix.size() || name[prefix.size()] != ' ') continue;
      name.remove_prefix(prefix.size() + 1);
    }
    name = name.substr(0, name.find(' '));
    if (std::ranges::find(words, name) == words.end()) words.push_back(name);
  }
  return words;
}

std::expected<CommandLine::Scan, std::string> CommandLine::ScanWords(const std::vector<std::string>& arguments) const {
  Scan scan;
  std::size_t positional = 0;
  bool options_over = false;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string& word = arguments[i];
    if (!options_over && word == "--") {
      options_over = true;
    } else if (!options_over && word.size() > 1 && word[0] == '-') {
      const std::string name = word.substr(0, word.find('='));
      if (name == "-h" || name == "--help") scan.help = true;
      if (name == "--version" && scan.command == nullptr) {
        scan.version = true;
        continue;
      }
      const Command::OptionSpec* option = FindOption(globals_.options(), name);
      if (option == nullptr && scan.command != nullptr) option = FindOption(scan.command->options(), name);
      if (option == nullptr) {
        std::vector<std::string_view> names;
        for (const auto& known : globals_.options()) names.push_back(known.name);
        if (scan.command != nullptr) {
          for (const auto& known : scan.command->options()) names.push_back(known.name);
        }
        return std::unexpected("unknown option " + name + (scan.words.empty() ? "" : " of \"sightline " + scan.words + "\"") +
                               Meant(name, names));
      }
      if (!option->value.empty() && word.find('=') == std::string::npos && !StandsAlone(*option, arguments, i)) ++i;
    } else if (scan.command == nullptr && !options_over) {
      const std::string words = scan.words.empty() ? word : scan.words + " " + word;
      const auto candidates = Words(scan.words);
      if (std::ranges::find(candidates, word) == candidates.end()) {
        return std::unexpected("unknown command \"" + words + "\"" + Meant(word, candidates));
      }
      scan.words = words;
      ++scan.words_read;
      for (const auto& command : commands_) {
        if (command->name() == words) scan.command = command.get();
      }
    } else if (scan.command != nullptr) {
      const auto& expected = scan.command->arguments();
      const bool many = !expected.empty() && std::holds_alternative<std::vector<std::string>*>(expected.back().target);
      if (++positional > expected.size() && !many) {
        return std::unexpected("\"" + word + "\" is one argument too many for \"sightline " + scan.words + "\"");
      }
    }
  }
  return scan;
}

std::expected<void, std::string> CommandLine::Parse(const Scan& scan, const std::vector<std::string>& arguments) {
  CLI::App app;
  app.set_help_flag();
  const auto add = [&app](const Command::OptionSpec& option, bool argument) {
    if (auto* const* flag = std::get_if<bool*>(&option.target)) {
      app.add_flag((option.short_name.empty() ? "" : option.short_name + ",") + option.name, **flag);
      return;
    }
    const bool many = std::holds_alternative<std::vector<std::string>*>(option.target);
    const auto assign = [&option](const std::vector<std::string>& texts) {
      for (const std::string& text : texts) {
        if (auto assigned = AssignText(option, text); !assigned)
          throw CLI::ValidationError(assigned.error(), CLI::ExitCodes::ValidationError);
      }
    };
    const std::string name = argument ? option.name : (option.short_name.empty() ? "" : option.short_name + ",") + option.name;
    CLI::Option* added = app.add_option_function<std::vector<std::string>>(name, assign);
    if (argument && many) {
      added->expected(option.need == Need::kRequired ? 1 : 0, -1);
    } else {
      added->expected(1);
      if (many) added->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
      added->allow_extra_args(false);
    }
    if (option.need == Need::kRequired) added->required();
  };
  for (const auto& option : globals_.options()) add(option, false);
  for (const auto& option : scan.command->options()) add(option, false);
  for (const auto& argument : scan.command->arguments()) add(argument, true);

  // The command's own words were found by the scan; the rest is options and arguments, last first as CLI11 wants them.
  std::vector<std::string> rest;
  std::size_t words_left = scan.words_read;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string& word = arguments[i];
    const bool option = word.size() > 1 && word[0] == '-';
    if (words_left > 0 && !option) {
      --words_left;
      continue;
    }
    const Command::OptionSpec* own = option ? FindOption(scan.command->options(), word) : nullptr;
    const bool alone = own != nullptr && StandsAlone(*own, arguments, i);
    rest.push_back(alone ? word + "=" + std::string(Command::kConfigured) : word);
    const Command::OptionSpec* known = option ? FindOption(globals_.options(), word) : nullptr;
    if (words_left > 0 && known != nullptr && !known->value.empty() && i + 1 < arguments.size()) rest.push_back(arguments[++i]);
  }
  std::ranges::reverse(rest);
  try {
    app.parse(std::move(rest));
  } catch (const CLI::ValidationError& error) {
    return std::unexpected(error.get_name() == "ValidationError" ? std::string(error.what()) : std::string(error.get_name()));
  } catch (const CLI::ParseError& error) {
    return std::unexpected(std::string(error.what()));
  }
  return {};
}

int CommandLine::Usage(const std::string& message, std::string_view command) {
  world_.err << "sightline: " << message << "\n";
  world_.err << "Try: sightline " << (command.empty() ? "" : std::string(command) + " ") << "--help\n";
  return static_cast<int>(Exit::kUsage);
}

int CommandLine::Main(const std::vector<std::string>& arguments) {
  // "help COMMAND" is how some ask.
  if (!arguments.empty() && arguments[0] == "help") {
    std::vector<std::string> asked(arguments.begin() + 1, arguments.end());
    asked.emplace_back("--help");
    return Main(asked);
  }
  *values_ = Globals{};
  auto scan = ScanWords(arguments);
  if (!scan) return Usage(scan.error(), "");
  if (scan->help) {
    world_.out << Help(scan->words);
    return static_cast<int>(Exit::kOk);
  }
  if (scan->version) return Main({"version"});
  if (scan->command == nullptr) {
    world_.err << Help(scan->words);
    return static_cast<int>(Exit::kUsage);
  }
  if (auto parsed = Parse(*scan, arguments); !parsed) return Usage(parsed.error(), scan->words);

  const auto variable = [this](const char* name) { return world_.environment ? world_.environment(name).value_or("") : std::string(); };
  Context context(world_);
  context.format = values_->format == "json" ? Format::kJson : values_->format == "csv" ? Format::kCsv : Format::kTable;
  context.config_file = values_->config_file.empty() ? variable("SIGHTLINE_CONFIG") : values_->config_file;
  context.data = values_->data.empty() ? variable("SIGHTLINE_DATA") : values_->data;
  context.log_level = values_->log_level;
  context.color = world_.out_is_terminal && !values_->no_color && variable("NO_COLOR").empty();

  Result<Exit> result = scan->command->run()(context);
  errno = 0;
  world_.out.flush();
  if (result && !world_.out) {
    // Who closes a pipe knows what he has read; a full disk is news.
    if (errno != EPIPE) world_.err << "sightline: the output could not be written whole\n";
    return static_cast<int>(Exit::kFailed);
  }
  if (result) return static_cast<int>(*result);
  world_.err << "sightline: " << result.error().message << "\n";
  return static_cast<int>(Exit::kFailed);
}

}  // namespace sightline::app
