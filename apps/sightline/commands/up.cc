#include "apps/sightline/commands/up.h"

#include <memory>
#include <ostream>

#include "apps/sightline/interrupt.h"
#include "apps/sightline/server/server.h"

namespace sightline::app {
namespace {

constexpr std::chrono::milliseconds kLook{50};

Result<Exit> Up(Context& context, const std::string& file, std::int64_t threads) {
  SL_ASSIGN_OR_RETURN(const config::Config config, context.LoadConfig(file));
  const InterruptScope interrupt;
  SL_ASSIGN_OR_RETURN(const std::unique_ptr<Server> server, Server::Start(context, config, {.threads = static_cast<int>(threads)}));
  SL_ASSIGN_OR_RETURN(const std::string link, server->SignInLink());
  context.out() << "sightline runs at " << server->url() << "\n"
                << "sign in once within 5 minutes: " << link << "\n"
                << "for programs: the token is in " << config.data << "/admin.token\n"
                << std::flush;
  while (!interrupt.requested()) context.world.sleep(kLook);
  SL_TRY(server->Stop());
  return Exit::kOk;
}

}  // namespace

void AddUp(CommandLine& line) {
  struct Options {
    std::string file;
    std::int64_t threads = 0;
  };
  const auto options = std::make_shared<Options>();
  line.Add("up", "Runs the server until SIGTERM or Ctrl-C", Group::kRun)
      .Describe(
          "Recovers what is in the data directory, then takes in events, runs the pipelines, keeps and serves their results. One process "
          "owns a data directory. Prints a sign-in link for the dashboard; logs are JSON lines on stderr.")
      .Argument("CONFIG", options->file, "the configuration file; else that of --config, else ./sightline.yaml", Need::kOptional)
      .Option("--threads N", &options->threads, "threads of the stream engine; else as many as there are cores")
      .Example("sightline up presets/top-items/sightline.yaml --data ./data", "the preset that ships")
      .Run([options](Context& context) { return Up(context, options->file, options->threads); });
}

}  // namespace sightline::app
