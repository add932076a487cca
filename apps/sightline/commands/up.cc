#include "apps/sightline/commands/up.h"

#include <charconv>
#include <ctime>
#include <memory>
#include <ostream>

#include "apps/sightline/interrupt.h"
#include "apps/sightline/migration/mark.h"
#include "apps/sightline/server/server.h"

namespace sightline::app {
namespace {

constexpr std::chrono::milliseconds kLook{50};

// "now", "earliest" or "raw:2026-01-31T12:00:00Z"
Result<std::optional<flow::StartAt>> ParseFrom(const std::string& text) {
  using Where = flow::StartAt::Where;
  if (text.empty()) return std::optional<flow::StartAt>();
  if (text == "now") return std::optional<flow::StartAt>({Where::kNow, {}});
  if (text == "earliest") return std::optional<flow::StartAt>({Where::kEarliest, {}});
  std::int64_t time = 0;
  if (text.starts_with("raw:")) {
    const std::string_view rest = std::string_view(text).substr(4);
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), time);
    if (error == std::errc() && end == rest.data() + rest.size() && !rest.empty()) {
      return std::optional<flow::StartAt>({Where::kTime, AppendTime(time)});
    }
    std::tm parts{};
    const char* const stop = strptime(text.c_str() + 4, "%Y-%m-%dT%H:%M:%SZ", &parts);
    if (stop != nullptr && *stop == '\0') return std::optional<flow::StartAt>({Where::kTime, AppendTime(timegm(&parts) * 1000)});
  }
  return Fail(ErrorKind::kInvalidArgument,
              "--from takes now, earliest or raw:TIME (as 2026-01-31T12:00:00Z, or in ms since 1970), not '" + text + "'");
}

Result<Exit> Up(Context& context, const std::string& file, std::int64_t threads, const std::string& start, const std::string& names) {
  SL_ASSIGN_OR_RETURN(const auto from, ParseFrom(start));
  SL_ASSIGN_OR_RETURN(const Roles roles, ParseRoles(names));
  SL_ASSIGN_OR_RETURN(const config::Config config, context.LoadConfig(file));
  SL_TRY(CheckNotMigrating(context.world, config));
  const InterruptScope interrupt;
  SL_ASSIGN_OR_RETURN(const std::unique_ptr<Server> server,
                      Server::Start(context, config, {.threads = static_cast<int>(threads), .from = from, .roles = roles}));
  context.out() << "sightline runs at " << server->url() << (roles.all() ? "" : " as " + roles.ToString()) << "\n";
  if (roles.serve) {
    SL_ASSIGN_OR_RETURN(const std::string link, server->SignInLink());
    context.out() << "sign in once within 5 minutes: " << link << "\n";
  }
  context.out() << "for programs: the token is in " << config.data << "/admin.token\n" << std::flush;
  while (!interrupt.requested()) context.world.sleep(kLook);
  SL_TRY(server->Stop());
  return Exit::kOk;
}

}  // namespace

void AddUp(CommandLine& line) {
  struct Options {
    std::string file;
    std::int64_t threads = 0;
    std::string from;
    std::string roles;
  };
  const auto options = std::make_shared<Options>();
  line.Add("up", "Runs the server until SIGTERM or Ctrl-C", Group::kRun)
      .Describe(
          "Recovers what is in the data directory, then takes in events, runs the pipelines, keeps and serves their results. One process "
          "owns a data directory. Prints a sign-in link for the dashboard; logs are JSON lines on stderr.")
      .Argument("CONFIG", options->file, "the configuration file; else that of --config, else ./sightline.yaml", Need::kOptional)
      .Option("--threads N", &options->threads, "threads of the stream engine; else as many as there are cores")
      .Option("--from WHERE", &options->from,
              "where pipelines begin that were changed since the data was written: now, earliest, or raw:TIME; their earlier results "
              "stay until the new ones have caught up")
      .Option("--roles LIST", &options->roles,
              "what this process does, of ingest, gate, flow and serve; else all. Processes on one Kafka share the work: docs/workers.md")
      .Example("sightline up presets/top-items/kafka-s3-postgres.yaml --roles flow --data ./worker-2", "one more worker")
      .Example("sightline up presets/top-items/sightline.yaml --data ./data", "the preset that ships")
      .Run([options](Context& context) { return Up(context, options->file, options->threads, options->from, options->roles); });
}

}  // namespace sightline::app
