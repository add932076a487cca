#include "apps/sightline/framework.h"

#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "apps/sightline/output.h"
#include "apps/sightline/progress.h"
#include "apps/sightline/testing/world.h"

namespace sightline::app {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class FrameworkTest : public ::testing::Test {
 protected:
  FrameworkTest() : line_(test_.world) {
    line_.AddFamily("topic", "Looks into topics", Group::kData);
    line_.Add("topic ls", "Lists topics", Group::kData).Run([this](Context& context) -> Result<Exit> {
      format_ = context.format;
      return Exit::kOk;
    });
    line_.Add("topic tail", "Follows a topic", Group::kData)
        .Argument("TOPIC", topic_, "which")
        .Arguments("MORE", more_, "others")
        .Option("-n, --limit N", &limit_, "how many")
        .Option("--every TIME", &every_, "how often")
        .Option("--memory SIZE", Command::ByteTarget{&memory_}, "how much")
        .Option("--filter EXPRESSION", &filters_, "which, several times")
        .Option("--order ORDER", &order_, "which way", {"up", "down"})
        .Flag("--follow", follow_, "go on")
        .Example("sightline topic tail events -n 3", "the last three")
        .Run([](Context&) -> Result<Exit> { return Exit::kOk; });
    line_.Add("fail", "Fails", Group::kRun).Run([](Context&) -> Result<Exit> { return Fail(ErrorKind::kIo, "the disk is gone"); });
    line_.Add("where", "Says where", Group::kRun).Run([this](Context& context) -> Result<Exit> {
      data_ = context.DataDirectory();
      return Exit::kOk;
    });
  }
  int Run(const std::vector<std::string>& arguments) {
    test_.out.str("");
    test_.err.str("");
    return line_.Main(arguments);
  }
  TestWorld test_;
  CommandLine line_;
  Format format_ = Format::kCsv;
  std::string topic_, order_;
  std::vector<std::string> more_, filters_;
  std::int64_t limit_ = 10;
  std::chrono::milliseconds every_{0};
  std::uint64_t memory_ = 0;
  bool follow_ = false;
  Result<std::string> data_;
};

TEST_F(FrameworkTest, AssignsEveryKindOfOptionWhereverItStands) {
  EXPECT_EQ(Run({"--format", "json", "topic", "--limit=-3", "tail", "events", "--follow", "--every", "90s", "a", "--filter", "x", "b",
                 "--filter", "y", "--memory", "2KiB", "--order", "down"}),
            2)
      << "an option of a command stands behind its words";
  EXPECT_EQ(Run({"--format", "json", "topic", "tail", "events", "--limit=-3", "--follow", "--every", "90s", "a", "--filter", "x", "b",
                 "--filter", "y", "--memory", "2KiB", "--order", "down"}),
            0)
      << test_.err.str();
  EXPECT_EQ(topic_, "events");
  EXPECT_THAT(more_, ElementsAre("a", "b"));
  EXPECT_THAT(filters_, ElementsAre("x", "y"));
  EXPECT_EQ(limit_, -3);
  EXPECT_EQ(every_, std::chrono::seconds(90));
  EXPECT_EQ(memory_, 2048U);
  EXPECT_EQ(order_, "down");
  EXPECT_TRUE(follow_);
}

TEST_F(FrameworkTest, GlobalOptionsMayStandAnywhere) {
  EXPECT_EQ(Run({"topic", "ls", "--format", "json"}), 0) << test_.err.str();
  EXPECT_EQ(format_, Format::kJson);
  EXPECT_EQ(Run({"topic", "--format", "csv", "ls"}), 0) << test_.err.str();
  EXPECT_EQ(format_, Format::kCsv);
}

struct BadCall {
  std::vector<std::string> arguments;
  const char* message;
};
void PrintTo(const BadCall& call, std::ostream* out) { *out << call.message; }
class BadCallTest : public FrameworkTest, public ::testing::WithParamInterface<BadCall> {};
TEST_P(BadCallTest, EndsWithTwoAndSaysWhatWasMeant) {
  EXPECT_EQ(Run(GetParam().arguments), 2);
  EXPECT_THAT(test_.err.str(), ::testing::StartsWith(std::string("sightline: ") + GetParam().message));
  EXPECT_EQ(test_.out.str(), "");
}
INSTANTIATE_TEST_SUITE_P(
    All, BadCallTest,
    ::testing::Values(
        BadCall{{"topc"}, "unknown command \"topc\"; did you mean topic?\nTry: sightline --help\n"},
        BadCall{{"topic", "tial"}, "unknown command \"topic tial\"; did you mean tail?"},
        BadCall{{"topic", "ls", "--fromat", "json"}, "unknown option --fromat of \"sightline topic ls\"; did you mean --format?"},
        BadCall{{"topic", "tail", "x", "--limt", "3"}, "unknown option --limt of \"sightline topic tail\"; did you mean --limit?"},
        BadCall{{"topic", "tail"}, "TOPIC is required"},
        BadCall{{"topic", "ls", "x"}, "\"x\" is one argument too many for \"sightline topic ls\""},
        BadCall{{"topic", "tail", "x", "-n", "many"}, "\"many\" is not a number that --limit can take"},
        BadCall{{"topic", "tail", "x", "--every", "9"}, "--every: \"9\" is not a duration: the unit is missing"},
        BadCall{{"topic", "tail", "x", "--order", "dwn"}, "--order cannot be \"dwn\"; did you mean down?"},
        BadCall{{"topic", "ls", "--format", "xml"}, "--format cannot be \"xml\"; it can be table, json, csv"}));

TEST_F(FrameworkTest, ErrorsEndWithOneAndAreSaid) {
  EXPECT_EQ(Run({"fail"}), 1);
  EXPECT_EQ(test_.err.str(), "sightline: the disk is gone\n");
}

TEST_F(FrameworkTest, HelpOfTheProgramAFamilyAndACommand) {
  EXPECT_EQ(Run({"--help"}), 0);
  EXPECT_THAT(test_.out.str(), HasSubstr("Look into the data:\n  topic  Looks into topics\n"));
  EXPECT_EQ(Run({"topic", "--help"}), 0);
  EXPECT_THAT(test_.out.str(), HasSubstr("  ls    Lists topics\n  tail  Follows a topic\n"));
  EXPECT_EQ(Run({"topic", "tail", "-h"}), 0);
  EXPECT_THAT(test_.out.str(), HasSubstr("Usage: sightline topic tail TOPIC [MORE…] [OPTIONS]\n"));
  EXPECT_THAT(test_.out.str(), HasSubstr("-n, --limit N"));
  EXPECT_THAT(test_.out.str(), HasSubstr("  # the last three\n  sightline topic tail events -n 3\n"));
  EXPECT_EQ(Run({}), 2);
  EXPECT_THAT(test_.err.str(), HasSubstr("Usage: sightline COMMAND"));
}

TEST_F(FrameworkTest, TheDataDirectoryComesFromTheOptionTheEnvironmentOrTheConfiguration) {
  Run({"where", "--data", "there"});
  EXPECT_EQ(*data_, "there");
  test_.environment["SIGHTLINE_DATA"] = "elsewhere";
  Run({"where"});
  EXPECT_EQ(*data_, "elsewhere");
  test_.environment.clear();
  EXPECT_EQ(Run({"where", "--config", test_.directory + "/none.yaml"}), 0);
  EXPECT_FALSE(data_);
  Run({"where", "--config", "presets/top-items/sightline.yaml"});
  EXPECT_EQ(*data_, "presets/top-items/data");
}

OutputRows Sample() {
  return {.columns = {{"item_name"}, {"count", CellKind::kNumber}}, .rows = {{"東京, \"x\"", "12"}, {"a\nb", std::nullopt}}};
}

TEST_F(FrameworkTest, RowsAsTableJsonAndCsv) {
  Context context(test_.world);
  Print(context, Sample());
  EXPECT_EQ(test_.out.str(),
            "item name  count\n東京, \"x\"     12\na\xef\xbf\xbd"
            "b\n");
  test_.out.str("");
  context.format = Format::kJson;
  Print(context, Sample());
  EXPECT_EQ(test_.out.str(),
            "[\n  {\"item_name\": \"東京, \\\"x\\\"\", \"count\": 12},\n  {\"item_name\": \"a\\nb\", \"count\": null}\n]\n");
  test_.out.str("");
  context.format = Format::kCsv;
  Print(context, Sample());
  EXPECT_EQ(test_.out.str(), "item_name,count\n\"東京, \"\"x\"\"\",12\n\"a\nb\",\n");
}

TEST_F(FrameworkTest, ProgressIsSilentForASecondThenSpeaksEveryFive) {
  const Context context(test_.world);
  Progress progress(context, "sending", "events", 2000);
  const auto at = [&](double seconds, std::uint64_t done) {
    test_.clock.ns = 1 + static_cast<std::int64_t>(seconds * 1e9);
    progress.Update(done);
  };
  at(0.9, 100);
  EXPECT_EQ(test_.err.str(), "");
  at(1.5, 500);
  at(3, 900);
  at(6.5, 1300);
  EXPECT_EQ(test_.err.str(), "sending: 500 events, 25 %, 5s left, 333/s\nsending: 1,300 events, 65 %, 4s left, 200/s\n");
}

TEST_F(FrameworkTest, WhatHasNoMeasureSaysThatTimePasses) {
  test_.world.err_is_terminal = true;
  const Context context(test_.world);
  const auto shown = [&] {
    const std::lock_guard lock(test_.world.progress.mutex);
    return test_.err.str();
  };
  {
    const Working working(context, "auditing");
    test_.clock.ns += 3'200'000'000;
    while (shown().empty()) std::this_thread::yield();
    EXPECT_EQ(shown(), "\rauditing, 3 s\033[K");
    // A measure that goes on says more.
    Progress progress(context, "recounting", "partitions", 8);
    progress.Update(0);
    test_.clock.ns += 1'500'000'000;
    progress.Update(1);
    const std::size_t before = shown().size();
    test_.clock.ns += 1'500'000'000;
    std::this_thread::sleep_for(std::chrono::milliseconds(250));
    EXPECT_EQ(shown().substr(before), "");
  }
  EXPECT_TRUE(test_.err.str().ends_with("\r\033[K"));
  // Less than a second is not worth a word.
  test_.err.str("");
  {
    const Working quick(context);
  }
  EXPECT_EQ(test_.err.str(), "");
}

TEST(DisplayWidths, OfWideAndCombiningCharacters) {
  EXPECT_EQ(DisplayWidth("abc"), 3U);
  EXPECT_EQ(DisplayWidth("東京"), 4U);
  EXPECT_EQ(DisplayWidth("e\xcc\x81"), 1U);
  EXPECT_EQ(WithThousands(0), "0");
  EXPECT_EQ(WithThousands(1234567), "1,234,567");
}

}  // namespace
}  // namespace sightline::app
