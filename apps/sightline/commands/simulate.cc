#include "apps/sightline/commands/simulate.h"

#include <algorithm>
#include <fstream>
#include <ostream>

#include "sightline/runtime/random.h"

#include "apps/sightline/fleet.h"
#include "apps/sightline/interrupt.h"
#include "apps/sightline/output.h"
#include "apps/sightline/progress.h"
#include "apps/sightline/send_report.h"
#include "apps/sightline/sender.h"

namespace sightline::app {
namespace {

constexpr std::int64_t kMillisecondNs = 1'000'000;
constexpr std::chrono::milliseconds kTurn{20};  // a batch each

struct SimulateCommand {
  FleetOptions fleet;
  std::string what, dataset = "camera_events", url, out, seed;
  double rate = 5000;
  std::uint64_t count = 0;
  std::chrono::milliseconds time{0};
  std::int64_t start = 0;
};

// What is wrong with the options, or "".
std::string CheckOptions(const SimulateCommand& command) {
  for (const auto& [name, share] : {std::pair("--duplicates", command.fleet.duplicates),
                                    {"--disorder", command.fleet.disorder},
                                    {"--late", command.fleet.late},
                                    {"--broken", command.fleet.broken}}) {
    if (!(share >= 0 && share <= 1)) return std::string(name) + " is a share: a number from 0 to 1";
  }
  if (!(command.rate > 0) || command.rate > 1e8) return "--rate must be above 0 (events a second)";
  if (command.fleet.locations < 1 || command.fleet.cameras < 1) return "a fleet needs at least one location and one camera";
  if (!command.out.empty() && command.count == 0 && command.time.count() == 0) return "writing needs an end: --count N or --for TIME";
  return "";
}

// Events of `rate` a second that are due after `elapsed_ns`, capped by --count and --for.
std::uint64_t Due(const SimulateCommand& command, std::int64_t elapsed_ns) {
  double due = static_cast<double>(elapsed_ns) / 1e9 * command.rate;
  if (command.time.count() > 0) due = std::min(due, static_cast<double>(command.time.count()) / 1e3 * command.rate);
  if (command.count > 0) due = std::min(due, static_cast<double>(command.count));
  return static_cast<std::uint64_t>(due);
}

std::uint64_t Total(const SimulateCommand& command) {
  const auto by_time = static_cast<std::uint64_t>(static_cast<double>(command.time.count()) / 1e3 * command.rate);
  if (command.time.count() == 0) return command.count;
  return command.count == 0 ? by_time : std::min(by_time, command.count);
}

// As fast as it goes; event time advances by the rate.
Result<Exit> Write(Context& context, const SimulateCommand& command, Fleet& fleet) {
  const std::uint64_t total = Total(command);
  std::ofstream file;
  if (command.out != "-") {
    file.open(command.out, std::ios::binary | std::ios::trunc);
    if (!file) return FailErrno("creating " + command.out, errno);
  }
  std::ostream& out = command.out == "-" ? context.out() : file;
  const std::int64_t start = command.start != 0 ? command.start : context.world.clock.Now().value;
  const auto step = static_cast<std::uint64_t>(std::max(1.0, command.rate / 1000));  // events of one millisecond, at least one
  const InterruptScope interrupt;
  Progress progress(context, "writing", "events", total);
  std::string lines;
  for (std::uint64_t made = 0; made < total && !interrupt.requested();) {
    const std::uint64_t now = std::min(step, total - made);
    fleet.Append(start + static_cast<std::int64_t>(static_cast<double>(made) * 1000 / command.rate), now, lines);
    made += now;
    if (lines.size() < (1U << 20) && made < total) continue;
    if (!out.write(lines.data(), static_cast<std::streamsize>(lines.size()))) return FailErrno("writing " + command.out, errno);
    lines.clear();
    progress.Update(made);
  }
  if (!out.write(lines.data(), static_cast<std::streamsize>(lines.size())) || !out.flush())
    return FailErrno("writing " + command.out, errno);
  return Exit::kOk;
}

// At a steady rate; event time is now. A server that cannot keep up is caught up with, so that the mean rate holds.
Status Post(Context& context, const SimulateCommand& command, Fleet& fleet, Sender& sender) {
  const std::int64_t started_ns = context.world.clock.MonotonicNs();
  const std::uint64_t total = Total(command);
  const InterruptScope interrupt;
  Progress progress(context, "simulating", "events", total);
  constexpr std::uint64_t kBatchMax = 5000;
  for (std::uint64_t made = 0; (total == 0 || made < total) && !interrupt.requested();) {
    const std::uint64_t due = Due(command, context.world.clock.MonotonicNs() - started_ns);
    if (due > made) {
      EventBatch batch{
          .body = "", .form = EventForm::kLines, .packing = Packing::kNone, .first = made + 1, .records = std::min(due - made, kBatchMax)};
      fleet.Append(context.world.clock.Now().value, batch.records, batch.body);
      made += batch.records;
      SL_TRY(sender.Submit(std::move(batch)));
      progress.Update(made);
      if (made < due || made == total) continue;
    }
    // Wake with the turns of the beginning, so that what a turn takes does not add up.
    const std::int64_t elapsed_ms = (context.world.clock.MonotonicNs() - started_ns) / kMillisecondNs;
    context.world.sleep(std::chrono::milliseconds(kTurn.count() - elapsed_ms % kTurn.count()));
  }
  return sender.Finish();
}

Result<Exit> Simulate(Context& context, SimulateCommand command) {
  if (const std::string wrong = CheckOptions(command); !wrong.empty()) return BadUsage(context, wrong);
  if (command.seed.empty()) {
    command.fleet.seed = command.out.empty() ? runtime::SystemEntropy() : FleetOptions().seed;
  } else {
    std::uint64_t seed = 0;
    for (const char c : command.seed)
      seed = c >= '0' && c <= '9' ? seed * 10 + static_cast<std::uint64_t>(c - '0') : seed * 31 + static_cast<unsigned char>(c);
    command.fleet.seed = seed;
  }
  Fleet fleet(command.fleet);
  if (!command.out.empty()) return Write(context, command, fleet);

  SL_ASSIGN_OR_RETURN(Client client, Client::Find(context, command.url));
  SendOptions options;
  options.dataset = command.dataset;
  options.run_id = "simulate-" + std::to_string(runtime::SystemEntropy());
  options.seed = runtime::SystemEntropy();
  Sender sender(context.world, std::move(client), options);
  const std::int64_t started_ns = context.world.clock.MonotonicNs();
  const Status sent = Post(context, command, fleet, sender);
  PrintSendReport(context, sender, options.run_id, context.world.clock.MonotonicNs() - started_ns, 0);
  if (!sent) return std::unexpected(sent.error());
  return Exit::kOk;
}

}  // namespace

void AddSimulate(CommandLine& line) {
  const auto command = std::make_shared<SimulateCommand>();
  line.Add("simulate", "Plays a fleet of cameras", Group::kRun)
      .Describe(
          "Posts detections to a server at a steady rate, their event time being now, with duplicates, disorder, late and broken events "
          "among them; or "
          "writes them as lines of JSON with --out. Without --for or --count it goes on until it is interrupted.")
      .Argument("WHAT", command->what, "what plays: cameras", Need::kOptional, {"cameras"})
      .Option("--locations N", &command->fleet.locations, "locations, with oids from 0 (1000)")
      .Option("--cameras N", &command->fleet.cameras, "cameras of each location (10)")
      .Option("--rate N", &command->rate, "events a second (5000)")
      .Option("--duplicates SHARE", &command->fleet.duplicates, "share of events that came before (0.1)")
      .Option("--disorder SHARE", &command->fleet.disorder, "share up to 25 s out of order (0.05)")
      .Option("--late SHARE", &command->fleet.late, "share one to two hours late (0.001)")
      .Option("--broken SHARE", &command->fleet.broken, "share of lines that are cut off (0.0005)")
      .Option("--seed N", &command->seed,
              "the same seed gives the same fleet (7 with --out; else by chance, so that detection ids are new)")
      .Option("--for TIME", &command->time, "how long")
      .Option("--count N", &command->count, "how many events")
      .Option("--out FILE", &command->out, "write lines of JSON here, as fast as it goes; - is the standard output")
      .Option("--start MS", &command->start, "with --out: the first event's time in epoch milliseconds (now)")
      .Option("--dataset NAME", &command->dataset, "the dataset (camera_events)")
      .Option("--to URL", &command->url, "the server; else the one that runs on the data directory")
      .Example("sightline simulate --rate 5000 --for 60s", "to the server of this directory, for a minute")
      .Example("sightline simulate --count 1000000 --seed 7 --start 1700000000000 --out events.ndjson", "a file, the same each time")
      .Run([command](Context& context) { return Simulate(context, *command); });
}

}  // namespace sightline::app
