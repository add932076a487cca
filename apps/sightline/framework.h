#pragma once

// The command line's framework.
//
// A command is one file and one line. The file, commands/NAME.cc, defines
//
//   void AddNAME(CommandLine& line) {
//     struct Options { std::string file; bool all = false; };
//     auto options = std::make_shared<Options>();
//     line.Add("topic ls", "Lists topics", Group::kData)
//         .Argument("FILE", options->file, "what to read", Need::kOptional)
//         .Flag("--all", options->all, "those of the system too")
//         .Example("sightline topic ls --format json", "for programs")
//         .Run([options](Context& context) -> Result<Exit> { … });
//   }
//
// and the line, in commands.cc, calls it. A name of two words makes a subcommand; describe its first word there too. Help,
// completion, "did you mean", the global options (--format, --config, --data, --log-level, --no-color) and exit codes come
// from the framework: an error returned by Run is printed and ends with Exit::kFailed. Print rows and fields by output.h, show
// progress of whatever may take over a second by progress.h, and speak to a running server by client.h.

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <iosfwd>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "sightline/base/result.h"
#include "sightline/config/config.h"
#include "sightline/runtime/clock.h"
#include "sightline/runtime/file_system.h"

namespace sightline::app {

enum class Exit : std::uint8_t { kOk = 0, kFailed = 1, kUsage = 2 };
enum class Format : std::uint8_t { kTable, kJson, kCsv };
enum class Need : std::uint8_t { kOptional, kRequired };
// Where a command stands in the help.
enum class Group : std::uint8_t { kRun, kConfigure, kData, kAbout };

// What several threads share that show on stderr how far something is (progress.h).
struct ProgressLine {
  std::mutex mutex;  // while something is written
  std::atomic<std::int64_t> moved_ns{INT64_MIN / 2};  // when a measured progress last went on
};

// The world the command line runs in: the real one in main.cc, another in tests.
struct World {
  runtime::Clock& clock;
  runtime::FileSystem& files;
  std::istream& in;
  std::ostream& out;
  std::ostream& err;
  bool out_is_terminal = false;
  bool err_is_terminal = false;
  std::function<std::optional<std::string>(const std::string&)> environment;
  std::function<void(std::chrono::milliseconds)> sleep;
  ProgressLine progress = {};
};

// What a command runs in.
struct Context {
  explicit Context(World& in) : world(in) {}
  World& world;
  Format format = Format::kTable;
  std::string config_file;  // --config or SIGHTLINE_CONFIG; may be empty
  std::string data;         // --data or SIGHTLINE_DATA; may be empty
  std::string log_level = "info";
  bool color = false;

  std::ostream& out() const { return world.out; }
  std::ostream& err() const { return world.err; }
  // The configuration file in effect: `given`, else config_file, else ./sightline.yaml.
  std::string ConfigFile(const std::string& given = "") const;
  // Options for loading it: what the command line says goes before the file.
  config::LoadOptions LoadOptions() const;
  Result<config::Config> LoadConfig(const std::string& given = "") const;
  // The data directory in effect: --data, else that of the configuration file if there is one, else ./data.
  Result<std::string> DataDirectory() const;
};

// Says what is wrong with how the command was called, and gives the exit code for that.
Exit BadUsage(const Context& context, const std::string& message);

class Command {
 public:
  // What an argument or option fills in. Numbers of any size, durations and sizes ("64MiB") are checked on the way.
  struct ByteTarget {
    std::uint64_t* bytes;
  };
  using Target = std::variant<std::string*, std::vector<std::string>*, std::int64_t*, std::uint64_t*, double*, bool*,
                              std::chrono::milliseconds*, ByteTarget>;
  struct OptionSpec {
    std::string name;        // "--to" or, of an argument, "FILE"
    std::string short_name;  // "-n" or ""
    std::string value;       // "URL"; empty for a flag
    std::string help;
    Target target;
    std::vector<std::string> choices;
    Need need = Need::kOptional;
    bool path() const { return value == "FILE" || value == "DIR" || name == "FILE" || name == "CONFIG" || name == "FROM" || name == "TO"; }
  };

  Command(std::string name, std::string summary, Group group) : name_(std::move(name)), summary_(std::move(summary)), group_(group) {}

  static constexpr std::string_view kConfigured = "configured";

  // A text below the summary in the help.
  Command& Describe(std::string text);
  Command& Argument(std::string name, std::string& into, std::string help, Need need = Need::kRequired,
                    std::vector<std::string> choices = {});
  // All that follow; the last argument of a command.
  Command& Arguments(std::string name, std::vector<std::string>& into, std::string help, Need need = Need::kOptional);
  // `spelled` is "--to URL" or "-n, --limit N". Of "--to [URL]" the URL may be left out, and `into` is kConfigured then. A
  // std::vector<std::string>* may be given several times.
  Command& Option(std::string_view spelled, Target into, std::string help, std::vector<std::string> choices = {});
  Command& Flag(std::string_view spelled, bool& into, std::string help);
  Command& Example(std::string line, std::string what);
  Command& Run(std::function<Result<Exit>(Context&)> run);

  const std::string& name() const { return name_; }
  const std::string& summary() const { return summary_; }
  const std::string& description() const { return description_; }
  Group group() const { return group_; }
  const std::vector<OptionSpec>& options() const { return options_; }
  const std::vector<OptionSpec>& arguments() const { return arguments_; }
  const std::vector<std::pair<std::string, std::string>>& examples() const { return examples_; }
  const std::function<Result<Exit>(Context&)>& run() const { return run_; }

 private:
  std::string name_;  // "topic ls"
  std::string summary_;
  std::string description_;
  Group group_;
  std::vector<OptionSpec> options_;
  std::vector<OptionSpec> arguments_;
  std::vector<std::pair<std::string, std::string>> examples_;
  std::function<Result<Exit>(Context&)> run_;
};

// All commands, and the way from argv to one of them. Not thread-safe; the world must outlive it.
class CommandLine {
 public:
  explicit CommandLine(World& world);
  ~CommandLine();
  CommandLine(const CommandLine&) = delete;
  CommandLine& operator=(const CommandLine&) = delete;

  Command& Add(std::string name, std::string summary, Group group);
  // What the commands that begin with `word` are about.
  void AddFamily(std::string word, std::string summary, Group group);

  // Parses, runs, prints errors; the exit code. `arguments` without the program's name.
  int Main(const std::vector<std::string>& arguments);

  const std::vector<std::unique_ptr<Command>>& commands() const { return commands_; }
  const std::vector<std::unique_ptr<Command>>& families() const { return families_; }
  // The options that every command has.
  const Command& globals() const { return globals_; }
  // The help of the command or family, or of the program for "".
  std::string Help(std::string_view name) const;
  const Command* Find(std::string_view name) const;
  // Words that can follow `prefix` ("" or a family's word).
  std::vector<std::string_view> Words(std::string_view prefix) const;

 private:
  struct Globals;
  struct Scan;
  std::expected<Scan, std::string> ScanWords(const std::vector<std::string>& arguments) const;
  std::expected<void, std::string> Parse(const Scan& scan, const std::vector<std::string>& arguments);
  int Usage(const std::string& message, std::string_view command);
  std::string HelpOf(const Command& command) const;
  std::string Overview() const;

  World& world_;
  std::unique_ptr<Globals> values_;
  Command globals_;
  std::vector<std::unique_ptr<Command>> commands_;
  std::vector<std::unique_ptr<Command>> families_;
};

}  // namespace sightline::app
