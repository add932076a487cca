#include "apps/sightline/commands/send.h"

#include <fstream>
#include <istream>
#include <ostream>

#include "sightline/base/text.h"
#include "sightline/runtime/random.h"

#include "apps/sightline/event_batches.h"
#include "apps/sightline/interrupt.h"
#include "apps/sightline/output.h"
#include "apps/sightline/progress.h"
#include "apps/sightline/send_report.h"
#include "apps/sightline/sender.h"

namespace sightline::app {
namespace {

// A packed file up to this size goes as it is, in one request; a larger one is unpacked here and sent in batches.
constexpr std::uint64_t kPassedThroughMax = 4U << 20;

struct SendCommand {
  std::string file, dataset, url, type, run_id;
  std::uint64_t batch_bytes = 1U << 20;
  std::uint64_t batch_records = 5000;
  std::uint64_t in_flight = 4;
  std::chrono::milliseconds retry_for = std::chrono::minutes(1);
};

// What is read, and how it is cut.
struct Input {
  std::ifstream file;
  std::istream* in = nullptr;
  std::uint64_t size = 0;  // 0: unknown
  std::uint64_t consumed = 0;
  Packing packing = Packing::kNone;
  EventForm form = EventForm::kLines;
};

Status Open(const Context& context, const SendCommand& command, Input& input) {
  input.form = command.type == "json"       ? EventForm::kJson
               : command.type == "protobuf" ? EventForm::kProtobuf
               : command.type == "ndjson"   ? EventForm::kLines
                                            : EventFormOf(command.file);
  if (command.file == "-") {
    input.in = &context.world.in;
    const int first = input.in->peek();
    // One byte can be looked at without seeking; neither magic byte begins a text.
    if (first == 0x1f) input.packing = Packing::kGzip;
    if (first == 0x28 && input.form != EventForm::kProtobuf) input.packing = Packing::kZstd;
    return {};
  }
  input.file.open(command.file, std::ios::binary);
  if (!input.file) return FailErrno("opening " + command.file, errno);
  input.file.seekg(0, std::ios::end);
  const auto size = input.file.tellg();
  if (size > 0) input.size = static_cast<std::uint64_t>(size);
  input.file.clear();
  input.file.seekg(0);
  std::string magic(4, '\0');
  input.file.read(magic.data(), 4);
  magic.resize(static_cast<std::size_t>(input.file.gcount()));
  input.packing = PackingOf(magic);
  input.file.clear();
  input.file.seekg(0);
  input.in = &input.file;
  return {};
}

Status SendAll(const Context& context, const SendCommand& command, Input& input, Sender& sender, std::uint64_t& too_long) {
  const Working working(context, "sending");  // while nothing is answered
  if (input.packing != Packing::kNone && input.size > 0 && input.size <= kPassedThroughMax) {
    EventBatch batch{.body = std::string(std::istreambuf_iterator<char>(*input.in), {}),
                     .form = input.form,
                     .packing = input.packing,
                     .first = 1,
                     .records = 0};
    SL_TRY(sender.Submit(std::move(batch)));
    return sender.Finish();
  }
  BatchLimits limits;
  limits.bytes = command.batch_bytes;
  limits.records = command.batch_records;
  EventBatches batches(OpenByteSource(*input.in, input.packing, input.consumed), input.form, limits);
  const InterruptScope interrupt;
  Progress progress(context, "sending", "events");
  for (;;) {
    if (interrupt.requested()) {
      SL_TRY(sender.Finish());
      return Fail(ErrorKind::kCancelled, "interrupted; what was sent so far is counted above");
    }
    SL_ASSIGN_OR_RETURN(auto batch, batches.Next());
    if (!batch) break;
    SL_TRY(sender.Submit(std::move(*batch)));
    progress.Update(sender.summary().received,
                    input.size == 0 ? std::nullopt : std::optional(static_cast<double>(input.consumed) / static_cast<double>(input.size)));
  }
  SL_TRY(sender.Finish());
  too_long = batches.too_long();
  if (too_long > 0) {
    return Fail(ErrorKind::kInvalidArgument, std::to_string(too_long) + " lines longer than " + FormatBytes(limits.record_bytes_max) +
                                                 " were not sent, line " + std::to_string(batches.first_too_long()) + " first");
  }
  return {};
}

Result<Exit> Send(Context& context, const SendCommand& command) {
  Input input;
  SL_TRY(Open(context, command, input));
  SL_ASSIGN_OR_RETURN(Client client, Client::Find(context, command.url));
  SendOptions options;
  options.dataset = command.dataset;
  options.run_id = command.run_id.empty() ? "send-" + std::to_string(runtime::SystemEntropy()) : command.run_id;
  options.in_flight = command.in_flight;
  options.retry_for = command.retry_for;
  options.seed = runtime::SystemEntropy();
  Sender sender(context.world, std::move(client), options);
  const std::int64_t started_ns = context.world.clock.MonotonicNs();
  std::uint64_t too_long = 0;
  const Status sent = SendAll(context, command, input, sender, too_long);
  PrintSendReport(context, sender, options.run_id, context.world.clock.MonotonicNs() - started_ns, too_long);
  if (!sent) return std::unexpected(sent.error());
  return Exit::kOk;
}

}  // namespace

void AddSend(CommandLine& line) {
  const auto command = std::make_shared<SendCommand>();
  line.Add("send", "Sends events from a file to a server", Group::kRun)
      .Describe(
          "Reads lines of JSON (.ndjson or any other name), a JSON object or array (.json), or length-delimited Protobuf messages (.pb, "
          ".binpb), plain or "
          "packed by gzip or zstd, and offers them to a dataset in batches. Whatever is refused for now is sent again and counts once. "
          "Rejected events are "
          "reported and are dead letters at the server. Ends with 1 if something could not be sent.")
      .Argument("FILE", command->file, "what to send; - reads the standard input")
      .Option("--dataset NAME", &command->dataset, "the dataset it is for (camera_events)")
      .Option("--to URL", &command->url, "the server; else the one that runs on the data directory")
      .Option("--type TYPE", &command->type, "what the input is, whatever its name", {"ndjson", "json", "protobuf"})
      .Option("--run-id ID", &command->run_id, "a name of this run: the same input under the same id counts once within 24 hours")
      .Option("--batch SIZE", Command::ByteTarget{&command->batch_bytes}, "bytes of a batch (1MiB)")
      .Option("--batch-events N", &command->batch_records, "events of a batch (5000)")
      .Option("--in-flight N", &command->in_flight, "batches under way at once (4)")
      .Option("--retry-for TIME", &command->retry_for, "how long to try without an answer (1m)")
      .Example("sightline send events.ndjson", "to the server of this directory")
      .Example("zcat events.ndjson.gz | sightline send - --dataset camera_events --to http://127.0.0.1:8080", "from a pipe")
      .Run([command](Context& context) -> Result<Exit> {
        if (command->dataset.empty()) command->dataset = "camera_events";
        if (command->batch_records == 0 || command->batch_bytes == 0)
          return BadUsage(context, "a batch of nothing: --batch and --batch-events must be above 0");
        return Send(context, *command);
      });
}

}  // namespace sightline::app
