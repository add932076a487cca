#include "apps/sightline/commands/replay.h"

#include <charconv>
#include <optional>
#include <ostream>

#include <nlohmann/json.hpp>

#include "apps/sightline/client.h"
#include "apps/sightline/output.h"
#include "apps/sightline/progress.h"
#include "sightline/base/text.h"

namespace sightline::app {
namespace {

using Json = nlohmann::ordered_json;

struct ReplayOptions {
  std::string pipeline;
  std::string reasons;
  std::string letters;
};

std::vector<std::string> Split(const std::string& text, char by) {
  std::vector<std::string> parts;
  std::size_t begin = 0;
  for (std::size_t end = text.find(by); !text.empty(); end = text.find(by, begin)) {
    parts.push_back(text.substr(begin, end - begin));
    if (end == std::string::npos) break;
    begin = end + 1;
  }
  return parts;
}

// "dead_letters.item_counts/3/17", as `dead-letter ls` and refusals name a letter.
Result<Json> ParseLetter(const std::string& text) {
  const std::vector<std::string> parts = Split(text, '/');
  const auto number = [](const std::string& digits, std::int64_t& value) {
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    return error == std::errc() && end == digits.data() + digits.size() && value >= 0;
  };
  std::int64_t partition = 0, offset = 0;
  if (parts.size() != 3 || parts[0].empty() || !number(parts[1], partition) || !number(parts[2], offset)) {
    return Fail(ErrorKind::kInvalidArgument,
                "--letter takes TOPIC/PARTITION/OFFSET, such as dead_letters.item_counts/0/17, not '" + text + "'");
  }
  return Json{{"topic", parts[0]}, {"partition", partition}, {"offset", offset}};
}

void PrintAnswer(const Context& context, const Json& answer) {
  const auto count = [&](const char* name) { return answer.value(name, std::uint64_t{0}); };
  const Json refusals = answer.value("refusals", Json::array());
  switch (context.format) {
    case Format::kJson: context.out() << answer.dump() << "\n"; return;
    case Format::kCsv: {
      std::vector<OutputField> fields;
      for (const char* name : {"replayed", "already", "refused"}) fields.push_back({name, std::to_string(count(name)), CellKind::kNumber});
      Print(context, fields);
      for (const Json& refusal : refusals) context.err() << refusal.get<std::string>() << "\n";
      return;
    }
    case Format::kTable:
      context.out() << WithThousands(count("replayed")) << " offered again, " << WithThousands(count("already")) << " were before, "
                    << WithThousands(count("refused")) << " refused\n";
      for (const Json& refusal : refusals) context.out() << "  " << refusal.get<std::string>() << "\n";
  }
}

Result<Exit> DeadLetterReplay(Context& context, const ReplayOptions& options) {
  Json body = {{"pipeline", options.pipeline}};
  for (const std::string& reason : Split(options.reasons, ',')) body["reasons"].push_back(reason);
  for (const std::string& letter : Split(options.letters, ',')) {
    SL_ASSIGN_OR_RETURN(const Json parsed, ParseLetter(letter));
    body["letters"].push_back(parsed);
  }
  SL_ASSIGN_OR_RETURN(Client client, Client::Find(context));
  const std::string text = body.dump();
  std::optional<Working> working(std::in_place, context, "replaying");
  SL_ASSIGN_OR_RETURN(const HttpResponse response, client.AskForSuccess({.method = "POST",
                                                                         .target = "/v1/dead-letters/replay",
                                                                         .headers = {{"Content-Type", "application/json"}},
                                                                         .body = text,
                                                                         .answer_time_max = kLongAnswer}));
  working.reset();
  const Json answer = Json::parse(response.body, nullptr, false);
  if (!answer.is_object()) return Fail(ErrorKind::kInternal, "the server's answer is no JSON object");
  PrintAnswer(context, answer);
  return answer.value("refused", std::uint64_t{0}) == 0 ? Exit::kOk : Exit::kFailed;
}

}  // namespace

void AddReplay(CommandLine& line) {
  const auto options = std::make_shared<ReplayOptions>();
  line.Add("dead-letter replay", "Offers dead letters to their pipeline again", Group::kData)
      .Describe(
          "Each original is taken once. Late records enter as corrections: their windows are counted anew from the log. Others are judged "
          "and deduplicated as records that arrive now. What can't be replayed is refused with its reason and stays a dead letter; then "
          "the "
          "command ends with 1. Needs a running server.")
      .Argument("PIPELINE", options->pipeline, "the pipeline")
      .Option("--reason R,...", &options->reasons, "only these: late, future, malformed, invalid, state_limit")
      .Option("--letter TOPIC/PARTITION/OFFSET,...", &options->letters, "only these letters")
      .Example("sightline dead-letter replay item_counts --reason late", "late events become corrections")
      .Run([options](Context& context) { return DeadLetterReplay(context, *options); });
}

}  // namespace sightline::app
