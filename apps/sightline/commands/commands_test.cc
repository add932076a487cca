#include "apps/sightline/commands.h"

#include <sys/stat.h>

#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "sightline/base/text.h"
#include "sightline/config/table.h"
#include "sightline/security/principal.h"

#include "apps/sightline/client.h"
#include "apps/sightline/examination.h"
#include "apps/sightline/testing/server.h"
#include "apps/sightline/testing/world.h"

namespace sightline::app {
namespace {

using ::testing::HasSubstr;

class CommandsTest : public ::testing::Test {
 protected:
  CommandsTest() : line_(test_.world) { AddAllCommands(line_); }
  int Run(const std::vector<std::string>& arguments) {
    test_.out.str("");
    test_.err.str("");
    // A process parses once: options keep what they were given.
    CommandLine line(test_.world);
    AddAllCommands(line);
    return line.Main(arguments);
  }
  std::string Preset() {
    std::ifstream in("presets/top-items/sightline.yaml");
    return {std::istreambuf_iterator<char>(in), {}};
  }
  TestWorld test_;
  CommandLine line_;
};

TEST_F(CommandsTest, EveryCommandHasASummaryAnExampleThatNamesItAndWhatItRuns) {
  for (const auto& command : line_.commands()) {
    EXPECT_FALSE(command->summary().empty()) << command->name();
    EXPECT_TRUE(command->run()) << command->name();
    ASSERT_FALSE(command->examples().empty()) << command->name();
    for (const auto& [example, what] : command->examples()) {
      EXPECT_THAT(example, HasSubstr("sightline " + command->name())) << example;
      EXPECT_FALSE(what.empty());
    }
    const std::size_t blank = command->name().find(' ');
    EXPECT_TRUE(blank == std::string::npos || line_.Find(command->name().substr(0, blank)) != nullptr) << command->name();
  }
}

TEST_F(CommandsTest, CheckPassesThePresetAndPlacesMistakes) {
  EXPECT_EQ(Run({"check", "presets/top-items/sightline.yaml"}), 0) << test_.out.str();
  EXPECT_THAT(test_.out.str(), HasSubstr("no mistakes"));
  const std::string file = test_.Write("bad.yaml", "sightline: 1\ndatasets: {}\nlisten: {htp: x}\n");
  EXPECT_EQ(Run({"check", file}), 1);
  EXPECT_THAT(test_.out.str(), HasSubstr(file + ":3:10: unknown setting \"htp\" in listen; did you mean \"http\"?\n"));
  EXPECT_EQ(Run({"--format", "json", "check", file}), 1);
  const auto mistakes = nlohmann::json::parse(test_.out.str());
  ASSERT_FALSE(mistakes.empty());
  EXPECT_EQ(mistakes.back()["line"], 3);
  EXPECT_EQ(Run({"check", test_.directory + "/none.yaml"}), 1);
  EXPECT_THAT(test_.out.str(), HasSubstr("there is no configuration file"));
}

TEST_F(CommandsTest, CheckSeesTheColumnsAndExpressionsOfSteps) {
  for (const char* name : {"contracts/camera_events.odcs.yaml", "contracts/locations.odcs.yaml", "references/locations.csv"}) {
    std::ifstream in(std::string("presets/top-items/") + name);
    test_.Write(name, {std::istreambuf_iterator<char>(in), {}});
  }
  std::string text = Preset();
  const std::string right = "item_count: sum(item_count)";
  const std::size_t at = text.find(right);
  ASSERT_NE(at, std::string::npos);
  const std::string file = test_.Write("c.yaml", text.replace(at, right.size(), "item_count: sum(item_cuont)"));
  EXPECT_EQ(Run({"check", file}), 1);
  EXPECT_THAT(test_.out.str(), HasSubstr("item_cuont"));
  EXPECT_THAT(test_.out.str(), HasSubstr("c.yaml:"));
}

TEST_F(CommandsTest, ConfigShowTellsValuesAndOrigins) {
  EXPECT_EQ(Run({"config", "show", "presets/top-items/sightline.yaml", "--below", "datasets.camera_events.watermark", "--format", "csv",
                 "--data", "/elsewhere"}),
            0)
      << test_.err.str();
  EXPECT_THAT(test_.out.str(), HasSubstr("datasets.camera_events.watermark.idle_after,10s,presets/top-items/sightline.yaml:"));
  EXPECT_THAT(test_.out.str(), ::testing::Not(HasSubstr("retain")));
  EXPECT_EQ(Run({"config", "show", "presets/top-items/sightline.yaml", "--data", "/elsewhere", "--changed"}), 0);
  EXPECT_THAT(test_.out.str(), HasSubstr("/elsewhere"));
  EXPECT_THAT(test_.out.str(), ::testing::Not(HasSubstr("limits.sql")));
  EXPECT_EQ(Run({"config", "show", "presets/top-items/sightline.yaml", "--below", "nonsense"}), 1);
}

TEST_F(CommandsTest, TheSchemaIsJsonAndKnowsEverySetting) {
  EXPECT_EQ(Run({"config", "schema"}), 0);
  const auto schema = nlohmann::json::parse(test_.out.str());
  EXPECT_EQ(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
  EXPECT_EQ(schema["properties"]["datasets"]["additionalProperties"]["properties"]["partitions"]["maximum"], 1024);
  EXPECT_EQ(schema["additionalProperties"], false);
  EXPECT_EQ(schema["properties"].size(), config::RootSection().properties.size());
}

TEST_F(CommandsTest, PermissionsAreThoseOfTheServer) {
  const auto* access = config::RootSection().Find("access")->section->Find("tokens")->section->Find("permissions");
  std::set<std::string_view> known, there;
  for (const std::string_view name : access->choices) {
    known.insert(name);
    EXPECT_TRUE(security::ParsePermission(name)) << name;
  }
  for (std::size_t i = 0; i < security::kPermissions; ++i) there.insert(security::PermissionName(static_cast<security::Permission>(i)));
  EXPECT_EQ(known, there);
}

TEST_F(CommandsTest, VersionNamesTheBuildAndItsLibraries) {
  EXPECT_EQ(Run({"version", "--format", "json"}), 0);
  const auto version = nlohmann::json::parse(test_.out.str());
  for (const char* name : {"version", "commit", "build", "arrow", "boost", "duckdb", "openssl", "zstd"})
    EXPECT_FALSE(version[name].get<std::string>().empty()) << name;
  const std::string before = test_.out.str();
  EXPECT_EQ(Run({"--version"}), 0);
  EXPECT_THAT(test_.out.str(), HasSubstr(version["version"].get<std::string>()));
}

// The script runs in a real bash; COMP_WORDS are what the user typed.
std::string CompleteInBash(const std::string& script, const std::string& words, int at) {
  const std::string call = "bash --norc -c 'source " + script + "; COMP_WORDS=(" + words + "); COMP_CWORD=" + std::to_string(at) +
                           "; _sightline; echo \"${COMPREPLY[*]}\"'";
  std::string out;
  FILE* pipe = popen(call.c_str(), "r");
  char buffer[4096];
  while (pipe != nullptr && std::fgets(buffer, sizeof buffer, pipe) != nullptr) out += buffer;
  if (pipe != nullptr) pclose(pipe);
  while (!out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

TEST_F(CommandsTest, BashCompletesCommandsOptionsAndChoices) {
  EXPECT_EQ(Run({"completion", "bash"}), 0);
  const std::string script = test_.Write("completion.bash", test_.out.str());
  EXPECT_EQ(CompleteInBash(script, "sightline ch", 1), "check");
  EXPECT_EQ(CompleteInBash(script, "sightline config s", 2), "show schema");
  EXPECT_EQ(CompleteInBash(script, "sightline config show --b", 3), "--below");
  EXPECT_EQ(CompleteInBash(script, "sightline --format json ver", 3), "version");
  EXPECT_EQ(CompleteInBash(script, "sightline check --format j", 3), "json");
  EXPECT_EQ(CompleteInBash(script, "sightline completion f", 2), "fish");
  EXPECT_EQ(CompleteInBash(script, "sightline send --type p", 3), "protobuf");
  EXPECT_EQ(Run({"completion", "fish"}), 0);
  EXPECT_THAT(test_.out.str(),
              HasSubstr("complete -c sightline -f -n __fish_use_subcommand -a check -d 'Reports every mistake in a configuration file'"));
  EXPECT_EQ(Run({"completion", "tcsh"}), 2);
}

TEST_F(CommandsTest, DoctorNamesWhatIsWrongAndTheRemedy) {
  const std::string token = test_.Write("data/admin.token", "secret");
  chmod(token.c_str(), 0644);
  EXPECT_EQ(Run({"doctor", "--format", "json", "--data", test_.directory + "/data", "--config", "presets/top-items/sightline.yaml"}), 1);
  std::map<std::string, nlohmann::json> by_name;
  for (const auto& finding : nlohmann::json::parse(test_.out.str())) by_name[finding["check"]] = finding;
  EXPECT_EQ(by_name["configuration"]["state"], "ok");
  EXPECT_EQ(by_name["data directory"]["state"], "ok");
  EXPECT_EQ(by_name["processor"]["state"], "ok");
  EXPECT_EQ(by_name["admin token"]["state"], "problem");
  EXPECT_EQ(by_name["admin token"]["remedy"], "chmod 600 " + token);
  for (const char* name : {"file system", "free space", "flush", "log", "reference locations", "clock", "open files", "memory",
                           "huge pages", "listen.http", "listen.health"})
    EXPECT_TRUE(by_name.contains(name)) << name;
  chmod(token.c_str(), 0600);
  EXPECT_EQ(ExamineSecretFile("admin token", token).health, Health::kGood);
}

TEST_F(CommandsTest, DoctorSeesAPortInUse) {
  TestingServer server([](const TestingServer::Request&) { return TestingServer::Answer(); });
  const auto endpoint = config::ParseEndpoint(server.url().substr(7));
  ASSERT_TRUE(endpoint);
  const Finding taken = ExaminePort("listen.http", *endpoint, false);
  EXPECT_EQ(taken.health, Health::kProblem);
  EXPECT_THAT(taken.remedy, HasSubstr("ss -ltnp"));
  EXPECT_EQ(ExaminePort("listen.http", *endpoint, true).health, Health::kGood);
  EXPECT_EQ(ExaminePort("listen.http", {"no.such.host.invalid", 80}, false).health, Health::kProblem);
  EXPECT_EQ(ExamineDirectory(test_.world, test_.Write("file", "x")).health, Health::kProblem);
  EXPECT_EQ(ExamineMemory(1ULL << 60).health, Health::kWarning);
}

TEST_F(CommandsTest, SendWithoutAServerSaysHowToStartOne) {
  const std::string file = test_.Write("e.ndjson", "{}\n");
  EXPECT_EQ(Run({"send", file, "--data", test_.directory + "/data"}), 1);
  EXPECT_THAT(test_.err.str(), HasSubstr("no server runs on " + test_.directory + "/data; start one: sightline up --data"));
  // One that was killed left its file behind.
  test_.Write("data/server.json", R"({"pid": 999999999, "http": "http://127.0.0.1:1"})");
  EXPECT_EQ(Run({"send", file, "--data", test_.directory + "/data"}), 1);
  EXPECT_THAT(test_.err.str(), HasSubstr("(process 999999999 has ended)"));
  EXPECT_EQ(Run({"send", test_.directory + "/none.ndjson", "--data", test_.directory}), 1);
  EXPECT_THAT(test_.err.str(), HasSubstr("none.ndjson"));
}

class SendCommandTest : public CommandsTest {
 protected:
  SendCommandTest()
      : server_([this](const TestingServer::Request& request) -> TestingServer::Answer {
          token_ = request.Header("authorization");
          encodings_.insert(request.Header("content-encoding"));
          body_ += request.body;
          const auto lines = static_cast<std::uint64_t>(std::ranges::count(request.body, '\n'));
          return {
              .status = 200,
              .body =
                  "{\"received\":" + std::to_string(lines) + ",\"accepted\":" + std::to_string(lines - 1) +
                  R"(,"rejected":{"malformed":1,"invalid":0},"rejects":[{"line":1,"verdict":"malformed","field":"","cause":"cut off"}]})",
              .headers = {}};
        }) {
    test_.Write("data/admin.token", "the-token\n");
    std::filesystem::permissions(test_.directory + "/data/admin.token", std::filesystem::perms::owner_read);
    const auto written = WriteServerFile(test_.directory + "/data", {.pid = getpid(), .url = server_.url()});
    EXPECT_TRUE(written);
  }
  std::string token_, body_;
  std::set<std::string> encodings_;
  TestingServer server_;
};

TEST_F(SendCommandTest, SendsAFileInBatchesToTheServerOfTheDirectory) {
  std::string text;
  for (int i = 0; i < 25; ++i) text += "{\"n\":" + std::to_string(i) + "}\n";
  const std::string file = test_.Write("e.ndjson", text);
  EXPECT_EQ(Run({"send", file, "--data", test_.directory + "/data", "--batch-events", "10", "--run-id", "r", "--format", "json"}), 0)
      << test_.err.str();
  EXPECT_EQ(body_, text);
  EXPECT_EQ(token_, "Bearer the-token");
  const auto report = nlohmann::json::parse(test_.out.str());
  EXPECT_EQ(report["received"], 25);
  EXPECT_EQ(report["accepted"], 22);
  EXPECT_EQ(report["malformed"], 3);
  EXPECT_EQ(report["batches"], 3);
  EXPECT_EQ(report["run_id"], "r");
  EXPECT_THAT(test_.err.str(), HasSubstr("line 1: malformed: cut off\nline 11: malformed: cut off\nline 21: malformed: cut off\n"));
  struct stat info{};
  ASSERT_EQ(stat((test_.directory + "/data/server.json").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600U);
}

TEST_F(SendCommandTest, ReadsTheStandardInputAndPassesPackedFilesThrough) {
  test_.in.str("a\nb\n");
  EXPECT_EQ(Run({"send", "-", "--data", test_.directory + "/data"}), 0) << test_.err.str();
  EXPECT_EQ(body_, "a\nb\n");
  EXPECT_THAT(encodings_, ::testing::ElementsAre(""));
  const std::string packed("\x1f\x8b whatever, the server unpacks it\n", 36);
  EXPECT_EQ(Run({"send", test_.Write("e.ndjson.gz", packed), "--to", server_.url()}), 0) << test_.err.str();
  EXPECT_EQ(body_, "a\nb\n" + packed);
  EXPECT_THAT(encodings_, ::testing::ElementsAre("", "gzip"));
}

// The clock is the test's and moves when the command sleeps: what is posted is a function of the turns.
TEST_F(SendCommandTest, SimulatePostsAtTheRateAskedAndStopsAtTheCount) {
  const std::int64_t started_ns = test_.clock.ns;
  EXPECT_EQ(Run({"simulate", "--rate", "5000", "--count", "1050", "--seed", "7", "--disorder", "0", "--late", "0", "--duplicates", "0",
                 "--broken", "0", "--data", test_.directory + "/data", "--format", "json"}),
            0)
      << test_.err.str();
  const auto report = nlohmann::json::parse(test_.out.str());
  EXPECT_EQ(report["received"], 1050);
  EXPECT_EQ(std::ranges::count(body_, '\n'), 1050);
  EXPECT_EQ(report["batches"], 11) << "turns of 20 ms: ten of 100 events, and the rest";
  EXPECT_EQ(test_.clock.ns - started_ns, 220'000'000) << "1050 events at 5000 a second, to the end of the turn";
  // Event time is the time of posting.
  std::set<std::int64_t> times;
  for (const std::string_view line : Split(body_, '\n')) {
    if (!line.empty()) times.insert(nlohmann::json::parse(line)["timestamp_detected"].get<std::int64_t>());
  }
  EXPECT_EQ(*times.begin(), 1'800'000'000'020);
  EXPECT_EQ(*times.rbegin(), 1'800'000'000'220);
}

TEST_F(SendCommandTest, SimulateStopsAfterTheTime) {
  EXPECT_EQ(Run({"simulate", "--rate", "1000", "--for", "100ms", "--data", test_.directory + "/data", "--format", "json"}), 0)
      << test_.err.str();
  EXPECT_EQ(nlohmann::json::parse(test_.out.str())["received"], 100);
  EXPECT_EQ(test_.slept_ms, 100);
}

TEST_F(CommandsTest, SimulateWritesTheSameFileForTheSameSeed) {
  const std::string a = test_.directory + "/a.ndjson", b = test_.directory + "/b.ndjson";
  const std::vector<std::string> call = {"simulate", "--count", "5000", "--start", "1700000000000", "--rate", "2000", "--out"};
  for (const std::string& file : {a, b}) {
    auto arguments = call;
    arguments.push_back(file);
    EXPECT_EQ(Run(arguments), 0) << test_.err.str();
  }
  const auto read = [](const std::string& file) {
    std::ifstream in(file);
    return std::string(std::istreambuf_iterator<char>(in), {});
  };
  EXPECT_EQ(read(a), read(b));
  EXPECT_EQ(std::ranges::count(read(a), '\n'), 5000);
  EXPECT_EQ(Run({"simulate", "--out", a}), 2);
  EXPECT_THAT(test_.err.str(), HasSubstr("writing needs an end"));
  EXPECT_EQ(Run({"simulate", "--out", a, "--count", "1", "--late", "1.5"}), 2);
}

}  // namespace
}  // namespace sightline::app
