#include "apps/sightline/commands/demo.h"

#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <functional>
#include <memory>
#include <optional>
#include <ostream>
#include <thread>

#include "apps/sightline/commands/inspect.h"
#include "apps/sightline/fleet.h"
#include "apps/sightline/interrupt.h"
#include "apps/sightline/output.h"
#include "apps/sightline/progress.h"
#include "apps/sightline/server/server.h"
#include "sightline/runtime/random.h"

extern char** environ;

namespace sightline::app {
namespace {

constexpr std::chrono::milliseconds kTurn{20};
constexpr std::chrono::milliseconds kSettle{200};
constexpr int kSettleTurns = 150;
constexpr std::int64_t kCameraLocation = 0;
constexpr std::int64_t kCameraOid = 1'000'000;

struct DemoOptions {
  std::chrono::milliseconds time{0};
  std::string data;
  std::string listen;
  std::string clip;
  double rate = 5500;
};

std::string ProgramDirectory() {
  char path[4096];
  const ssize_t size = readlink("/proc/self/exe", path, sizeof path - 1);
  if (size <= 0) return ".";
  const std::string whole(path, static_cast<std::size_t>(size));
  return whole.substr(0, whole.rfind('/'));
}

// The first of these that exists: beside an installed program, then in a source tree.
Result<std::string> FindBeside(runtime::FileSystem& files, const std::vector<std::string>& places) {
  for (const std::string& place : places) {
    SL_ASSIGN_OR_RETURN(const bool exists, files.Exists(ProgramDirectory() + "/" + place));
    if (exists) return ProgramDirectory() + "/" + place;
  }
  return std::string();
}

// A simulated fleet that offers events at a steady rate, in process, through the same gate as everybody's.
class SimulatedFleet {
 public:
  SimulatedFleet(Context& context, ingest::Ingest& ingest, double rate)
      : context_(context), ingest_(ingest), rate_(rate), fleet_(OptionsOfFleet()), thread_([this] { Run(); }) {}
  ~SimulatedFleet() { Stop(); }
  void Stop() {
    stopping_.store(true);
    if (thread_.joinable()) thread_.join();
  }
  // After Stop.
  const Fleet::Made& made() const { return fleet_.made(); }
  std::uint64_t refused() const { return refused_; }

 private:
  static FleetOptions OptionsOfFleet() {
    FleetOptions options;
    options.seed = runtime::SystemEntropy();
    return options;
  }
  void Run() {
    const std::int64_t started = context_.world.clock.MonotonicNs();
    std::uint64_t made = 0;
    while (!stopping_.load()) {
      const double elapsed_s = static_cast<double>(context_.world.clock.MonotonicNs() - started) / 1e9;
      const auto due = static_cast<std::uint64_t>(elapsed_s * rate_);
      if (due > made) {
        auto body = std::make_shared<std::string>();
        const std::uint64_t events = std::min<std::uint64_t>(due - made, 5000);
        fleet_.Append(context_.world.clock.Now().value, events, *body);
        made += events;
        const Result<ingest::Receipt> receipt = ingest::TakeAndWait(ingest_, {.dataset = "camera_events",
                                                                              .format = ingest::Format::kLines,
                                                                              .body = *body,
                                                                              .owner = body,
                                                                              .idempotency_key = {},
                                                                              .principal = "demo",
                                                                              .request_id = {}});
        if (!receipt) refused_ += events;
        if (made < due) continue;
      }
      std::this_thread::sleep_for(kTurn);
    }
  }

  Context& context_;
  ingest::Ingest& ingest_;
  double rate_;
  Fleet fleet_;
  std::atomic<bool> stopping_{false};
  std::uint64_t refused_ = 0;
  std::thread thread_;
};

// The camera agent as a process of its own, which posts to the server like any camera.
class CameraProcess {
 public:
  static std::unique_ptr<CameraProcess> Start(const std::string& program, const std::string& clip, const std::string& url,
                                              const std::string& token_file) {
    const std::vector<std::string> arguments = {program,
                                                "--clip",
                                                clip,
                                                "--location",
                                                std::to_string(kCameraLocation),
                                                "--camera",
                                                std::to_string(kCameraOid),
                                                "--to",
                                                url,
                                                "--token-file",
                                                token_file,
                                                "--end-with-parent"};
    std::vector<char*> raw;
    for (const std::string& argument : arguments) raw.push_back(const_cast<char*>(argument.c_str()));
    raw.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    // The server's sockets must not outlive it in a child.
    posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
    pid_t pid = 0;
    const int failed = posix_spawn(&pid, program.c_str(), &actions, nullptr, raw.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    return failed != 0 ? nullptr : std::unique_ptr<CameraProcess>(new CameraProcess(pid));
  }
  ~CameraProcess() {
    kill(pid_, SIGTERM);
    waitpid(pid_, nullptr, 0);
  }

 private:
  explicit CameraProcess(pid_t pid) : pid_(pid) {}
  pid_t pid_;
};

class TemporaryData {
 public:
  explicit TemporaryData(runtime::FileSystem& files) : files_(files) {
    const char* base = std::getenv("TMPDIR");
    path_ = std::string(base != nullptr && *base != '\0' ? base : "/tmp") + "/sightline-demo.XXXXXX";
    if (mkdtemp(path_.data()) == nullptr) path_.clear();
  }
  ~TemporaryData() {
    if (!path_.empty()) (void)files_.Remove(path_);
  }
  const std::string& path() const { return path_; }

 private:
  runtime::FileSystem& files_;
  std::string path_;
};

// Until the time is over or somebody ends it. A demo that ends by itself says how far it is.
void Run(Context& context, Server& server, std::chrono::milliseconds time, const std::function<bool()>& ended) {
  const std::int64_t started = context.world.clock.MonotonicNs();
  const std::int64_t time_ns = std::chrono::nanoseconds(time).count();
  Progress progress(context, "running", "events");
  while (!ended()) {
    const std::int64_t passed = context.world.clock.MonotonicNs() - started;
    if (time_ns > 0) {
      if (passed >= time_ns) return;
      const serve::ServerStatus status = server.status();
      progress.Update(status.pipelines.empty() ? 0 : status.pipelines[0].in, static_cast<double>(passed) / static_cast<double>(time_ns));
    }
    context.world.sleep(kTurn);
  }
}

// Waits until the pipelines have read what there is, some seconds at most.
void Settle(Context& context, Server& server) {
  for (int turn = 0; turn < kSettleTurns; ++turn) {
    std::int64_t lag = 0;
    for (const serve::ServerStatus::Pipeline& pipeline : server.status().pipelines) lag += pipeline.lag_records;
    if (lag == 0 && turn > 2) return;
    context.world.sleep(kSettle);
  }
}

void PrintSummary(Context& context, const Fleet::Made& made, const serve::ServerStatus& status) {
  context.out() << "\nfleet: " << WithThousands(made.events) << " events, among them " << WithThousands(made.duplicates) << " duplicates, "
                << WithThousands(made.disordered) << " out of order, " << WithThousands(made.late) << " late, "
                << WithThousands(made.broken) << " broken\n";
  for (const serve::ServerStatus::Pipeline& pipeline : status.pipelines) {
    context.out() << pipeline.name << ": " << WithThousands(pipeline.in) << " in, " << WithThousands(pipeline.results) << " final rows\n";
  }
}

Result<Exit> Demo(Context& context, const DemoOptions& options) {
  runtime::FileSystem& files = context.world.files;
  SL_ASSIGN_OR_RETURN(const std::string preset,
                      FindBeside(files, {"../share/sightline/presets/top-items/sightline.yaml", "../../presets/top-items/sightline.yaml"}));
  if (preset.empty()) return Fail(ErrorKind::kNotFound, "the preset top-items is neither beside the program nor in its source tree");
  std::unique_ptr<TemporaryData> temporary;
  config::LoadOptions load = context.LoadOptions();
  if (options.data.empty() && context.data.empty()) {
    temporary = std::make_unique<TemporaryData>(files);
    if (temporary->path().empty())
      return Fail(ErrorKind::kIo, "a temporary directory can't be made: set TMPDIR, or name one with --data DIR");
    load.overrides.push_back({"data", temporary->path(), "the demo"});
  }
  if (!options.listen.empty()) {
    load.overrides.push_back({"listen.http", options.listen, "--listen"});
    load.overrides.push_back({"listen.health", "127.0.0.1:0", "--listen"});
  }
  SL_ASSIGN_OR_RETURN(const config::Config config, config::LoadConfig(files, preset, load));
  const InterruptScope interrupt;
  SL_ASSIGN_OR_RETURN(const std::unique_ptr<Server> server, Server::Start(context, config, {}));
  SL_ASSIGN_OR_RETURN(const std::string link, server->SignInLink());
  context.out() << "sightline runs at " << server->url() << "\nsign in once within 5 minutes: " << link << "\n";
  SL_ASSIGN_OR_RETURN(const std::string camera_program, FindBeside(files, {"sightline-camera", "bin/sightline-camera"}));
  std::unique_ptr<CameraProcess> camera;
  if (options.clip.empty() || camera_program.empty()) {
    context.out() << "camera: none (" << (camera_program.empty() ? "sightline-camera is not built" : "no --clip FILE") << ")\n";
  } else {
    camera = CameraProcess::Start(camera_program, options.clip, server->url(), config.data + "/admin.token");
    context.out() << "camera: "
                  << (camera ? "people in " + options.clip + " at location " + std::to_string(kCameraLocation) : "could not be started")
                  << "\n";
  }
  context.out() << "fleet: 1000 locations with 10 cameras each, " << static_cast<std::int64_t>(options.rate) << " events/s\n"
                << (options.time.count() > 0 ? "" : "Ctrl-C ends it\n") << std::flush;
  SimulatedFleet fleet(context, server->ingest(), options.rate);
  Run(context, *server, options.time, [&] { return interrupt.requested(); });
  fleet.Stop();
  camera.reset();
  std::optional<Working> working(std::in_place, context, "finishing");
  Settle(context, *server);
  working.reset();
  PrintSummary(context, fleet.made(), server->status());
  if (fleet.refused() > 0)
    context.out() << WithThousands(fleet.refused()) << " events of the fleet were refused, since the log could not keep up\n";
  working.emplace(context, "auditing");
  SL_ASSIGN_OR_RETURN(const AuditReport report, server->audit());
  working.reset();
  PrintAudit(context, report.ToJson());
  SL_TRY(server->Stop());
  return report.holds ? Exit::kOk : Exit::kFailed;
}

}  // namespace

void AddDemo(CommandLine& line) {
  const auto options = std::make_shared<DemoOptions>();
  line.Add("demo", "Runs the top-items system on a camera and a simulated fleet", Group::kRun)
      .Describe(
          "Everything in one process on the shipped preset: the server, the camera agent on a clip, a simulated fleet of 1000 locations, "
          "and "
          "the dashboard. Data is kept in a temporary directory and removed, unless --data names one. Ends with a summary and the audit.")
      .Option("--for TIME", &options->time, "ends by itself after this; else Ctrl-C")
      .Option("--listen HOST:PORT", &options->listen, "another address than 127.0.0.1:8080")
      .Option("--clip FILE", &options->clip, "a video with people, or an rtsp:// address, for the camera agent")
      .Option("--rate N", &options->rate, "events a second of the fleet (5500)")
      .Example("sightline demo --for 60s", "a minute of it")
      .Run([options](Context& context) { return Demo(context, *options); });
}

}  // namespace sightline::app
