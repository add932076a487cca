// sightline-camera: watches a video and makes one event of each person in it.

#include <sys/prctl.h>
#include <sys/resource.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <system_error>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "sightline/base/text.h"
#include "sightline/runtime/clock.h"
#include "sightline/runtime/posix_file_system.h"
#include "sightline/runtime/random.h"
#include "sightline/vision/camera_agent.h"
#include "sightline/vision/detection_oid.h"
#include "sightline/vision/event_sender.h"
#include "sightline/vision/http_transport.h"
#include "sightline/vision/ndjson_sink.h"
#include "sightline/vision/opencv/annotator.h"
#include "sightline/vision/opencv/hog_people_detector.h"
#include "sightline/vision/opencv/video_source.h"

#include "apps/sightline-camera/stop_signal.h"

namespace sightline {
namespace {

constexpr std::uint64_t kTokenBytesMax = 64 * 1024;
constexpr std::chrono::seconds kDrainPatience{5};
constexpr int kUsageError = 2;

struct Arguments {
  std::string clip;
  std::string to = "-";
  std::string token_file;
  std::string ca_file;
  std::string annotate;
  double frames_per_second = 0;
  std::int64_t start_ms = -1;
  std::int64_t camera_number = -1;
  std::size_t queue = vision::DeliveryOptions{}.events_max;
  bool once = false;
  bool end_with_parent = false;
  vision::CameraOptions camera;
};

void Log(std::string_view text) { fmt::print(stderr, "sightline-camera: {}\n", text); }

void Declare(CLI::App& app, Arguments& arguments) {
  app.add_option("--clip", arguments.clip, "video file, or rtsp:// address of a camera")->required()->type_name("FILE|URL");
  app.add_option("--location", arguments.camera.geographical_location_oid, "geographical_location_oid of the events")
      ->required()
      ->type_name("OID");
  app.add_option("--camera", arguments.camera.video_camera_oid, "video_camera_oid of the events")->required()->type_name("OID");
  app.add_option("--to", arguments.to, "where events go: http(s)://HOST:PORT of a server, or - for standard output as NDJSON")
      ->capture_default_str()
      ->type_name("URL|-");
  app.add_option("--token-file", arguments.token_file, "file with the server's token; without it the environment's SIGHTLINE_TOKEN")
      ->type_name("FILE");
  app.add_option("--ca-file", arguments.ca_file, "PEM file of the authorities that vouch for the server; without it the system's")
      ->type_name("FILE");
  app.add_option("--every", arguments.camera.every, "frames from one detection to the next (default: about three detections a second)")
      ->check(CLI::Range(1, 10'000))
      ->type_name("N");
  app.add_option("--fps", arguments.frames_per_second, "frames a second, where the video says nothing or something wrong")
      ->check(CLI::Range(0.1, 1000.0));
  app.add_flag("--once", arguments.once, "one pass as fast as possible instead of playing the clip again and again in real time");
  app.add_option("--start", arguments.start_ms, "with --once: event time of the first frame, ms since 1970 (default: now)")
      ->type_name("MS");
  app.add_option("--item", arguments.camera.item_name, "item_name of the events")->capture_default_str()->type_name("NAME");
  app.add_option("--queue", arguments.queue,
                 "events to keep while the server cannot be reached; beyond it the oldest are dropped, and said to be")
      ->check(CLI::Range(1, 10'000'000))
      ->capture_default_str()
      ->type_name("N");
  app.add_option(
         "--camera-number", arguments.camera_number,
         fmt::format("stands for the camera in detection ids, 0 to {}; each camera its own (default: --camera)", vision::kCameraNumberMax))
      ->type_name("N");
  app.add_flag("--end-with-parent", arguments.end_with_parent, "end when the process that started this one does, however it ends");
  app.add_option("--annotate", arguments.annotate, "save what the agent saw as pictures in this directory")->type_name("DIR");
}

Result<std::string> ReadToken(runtime::FileSystem& files, const std::string& path) {
  if (path.empty()) {
    const char* token = std::getenv("SIGHTLINE_TOKEN");
    return std::string(token == nullptr ? "" : token);
  }
  SL_ASSIGN_OR_RETURN(std::string token, runtime::ReadFile(files, path, kTokenBytesMax));
  while (!token.empty() && (token.back() == '\n' || token.back() == '\r')) token.pop_back();
  if (token.find_first_of("\r\n") != std::string::npos) return Fail(ErrorKind::kInvalidArgument, path + ": expected one line, the token");
  return token;
}

Status Complete(Arguments& arguments, runtime::Clock& clock) {
  vision::CameraOptions& camera = arguments.camera;
  camera.camera_number = arguments.camera_number >= 0 ? arguments.camera_number : camera.video_camera_oid;
  if (camera.camera_number < 0 || camera.camera_number > vision::kCameraNumberMax) {
    return Fail(
        ErrorKind::kInvalidArgument,
        fmt::format("camera {} cannot stand in detection ids, which have room for 0 to {}: give the camera another number there with "
                    "--camera-number, one that no other camera has",
                    camera.camera_number, vision::kCameraNumberMax));
  }
  if (!IsUtf8(camera.item_name) || camera.item_name.empty())
    return Fail(ErrorKind::kInvalidArgument, "--item must be UTF-8 text, not empty");
  if (arguments.start_ms >= 0 && !arguments.once) return Fail(ErrorKind::kInvalidArgument, "--start goes with --once alone");
  if (arguments.start_ms < 0) arguments.start_ms = clock.Now().value;
  if (arguments.annotate.empty()) return {};
  std::error_code error;
  std::filesystem::create_directories(arguments.annotate, error);
  if (error) return FailErrno(arguments.annotate, error.value());
  return {};
}

double CpuSeconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) { return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6; };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

void LogSummary(const vision::CameraCounters& counters, double elapsed_s) {
  Log(fmt::format(
      "{} people in {} frames ({} rounds, {} detections of which {} delayed, {} unreadable frames); {:.0f} % of a core over {:.1f} s",
      counters.events, counters.frames, counters.rounds, counters.detection_rounds, counters.delayed_detection_rounds,
      counters.unreadable_frames, 100 * CpuSeconds() / elapsed_s, elapsed_s));
}

// Watches, with everything but the sink made here.
Status Watch(const Arguments& arguments, vision::EventSink& sink, runtime::Clock& clock, StopSignal& stop) {
  SL_ASSIGN_OR_RETURN(const auto source, vision::VideoSource::Open(arguments.clip, arguments.frames_per_second));
  vision::HogPeopleDetector detector({});
  vision::Annotator annotator(arguments.annotate);
  vision::CameraAgent agent(arguments.camera, {.source = *source,
                                               .detector = detector,
                                               .sink = sink,
                                               .clock = clock,
                                               .pace = stop,
                                               .log = Log,
                                               .observer = arguments.annotate.empty() ? nullptr : &annotator});
  const vision::FrameSource::Format& format = source->format();
  Log(fmt::format("watching {} ({} x {}, {:.4g} frames a second) as camera {} at location {}", vision::WithoutPassword(arguments.clip),
                  format.width, format.height, format.frames_per_second, arguments.camera.video_camera_oid,
                  arguments.camera.geographical_location_oid));
  const std::int64_t begin_ns = clock.MonotonicNs();
  const Status ran = arguments.once ? agent.RunOnce(EventTime(arguments.start_ms)) : agent.RunUntilStopped();
  LogSummary(agent.counters(), static_cast<double>(clock.MonotonicNs() - begin_ns) * 1e-9);
  return ran;
}

Status WatchAndPrint(const Arguments& arguments, runtime::Clock& clock, StopSignal& stop) {
  vision::NdjsonSink sink(stdout);
  SL_TRY(Watch(arguments, sink, clock, stop));
  if (sink.broken()) return Fail(ErrorKind::kIo, "standard output took no more events");
  return {};
}

Status WatchAndSend(const Arguments& arguments, runtime::Clock& clock, StopSignal& stop) {
  runtime::PosixFileSystem files;
  SL_ASSIGN_OR_RETURN(const vision::EventUrl url, vision::EventUrl::Parse(arguments.to));
  SL_ASSIGN_OR_RETURN(const auto transport,
                      vision::HttpTransport::Make(
                          {.url = url, .token = [&] { return ReadToken(files, arguments.token_file); }, .ca_file = arguments.ca_file}));
  const std::string prefix =
      fmt::format("camera-{}-{:016x}{:016x}", arguments.camera.video_camera_oid, runtime::SystemEntropy(), runtime::SystemEntropy());
  vision::EventSender sender({.events_max = arguments.queue}, prefix, {.transport = *transport, .clock = clock, .log = Log});
  const Status ran = Watch(arguments, sender, clock, stop);
  const bool all_sent = sender.Close(kDrainPatience);
  const vision::DeliveryCounters sent = sender.counters();
  Log(fmt::format("{} events: {} delivered, {} refused by the server, {} dropped, {} left", sent.taken, sent.delivered, sent.refused,
                  sent.dropped, sender.waiting()));
  SL_TRY(ran);
  if (!all_sent) return Fail(ErrorKind::kUnavailable, "not all events reached the server");
  return {};
}

int Main(int argc, char** argv) {
  CLI::App app(
      "Watches a video, follows the people in it, and makes one event of each: as NDJSON on standard output, or posted to a sightline "
      "server.\n"
      "A file is played again and again in real time; people get new ids each time.",
      "sightline-camera");
  Arguments arguments;
  Declare(app, arguments);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : kUsageError;
  }
  // A reader of standard output that goes away ends the program; a server that goes away does not.
  if (arguments.to != "-") std::signal(SIGPIPE, SIG_IGN);
  StopSignal stop;
  if (arguments.end_with_parent) ::prctl(PR_SET_PDEATHSIG, SIGTERM);
  runtime::SystemClock clock;
  if (Status complete = Complete(arguments, clock); !complete) {
    Log(complete.error().message);
    return kUsageError;
  }
  const Status done = arguments.to == "-" ? WatchAndPrint(arguments, clock, stop) : WatchAndSend(arguments, clock, stop);
  if (done) return 0;
  Log(done.error().message);
  return 1;
}

}  // namespace
}  // namespace sightline

int main(int argc, char** argv) { return sightline::Main(argc, argv); }
