// Pieces go through the stages in order, each once, and nothing runs beside what must be alone.
#include "sightline/flow/line_stages.h"

#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <vector>

#include "sightline/flow/testing/fixture.h"

namespace sightline::flow {
namespace {

constexpr int kLines = 500;

std::string Lines() {
  std::string text;
  for (int i = 0; i < kLines; ++i) text += "{\"no\": " + std::to_string(i) + "}\n";
  return text;
}

// Counts how many are within; more than one at a time is a failure.
class OneAtATime {
 public:
  class Within {
   public:
    explicit Within(OneAtATime& of) : of_(of) { EXPECT_EQ(of_.within_.fetch_add(1), 0); }
    ~Within() { of_.within_.fetch_sub(1); }

   private:
    OneAtATime& of_;
  };

 private:
  std::atomic<int> within_{0};
};

class LineStagesTest : public ::testing::TestWithParam<int> {
 protected:
  Status Run(const LineStages::Stages& stages, std::size_t piece_bytes) {
    return LineStages(items_->contract, {}, text_, piece_bytes, GetParam()).Run(stages);
  }
  std::unique_ptr<testing::TopItems> items_ = testing::MakeTopItems({});
  const std::string text_ = Lines();
};

TEST_P(LineStagesTest, TakesEachPieceThroughAllStagesInOrder) {
  for (const std::size_t piece_bytes : {1, 50, 999, 1 << 20}) {
    OneAtATime judging, counting;
    std::size_t judged = 0, counted = 0, settled = 0, since = 0;
    std::atomic<std::size_t> waiting{0};  // judged and not counted
    bool refused = false;
    std::int64_t seen = 0;
    LineStages::Stages stages;
    stages.judge = [&](LineStages::Piece& piece, bool ahead) {
      const OneAtATime::Within within(judging);
      EXPECT_EQ(piece.begin, judged);
      EXPECT_TRUE(ahead || waiting.load() == 0);
      EXPECT_LE(waiting.load(), Processor::kAheadMax);
      // Every other piece that is ahead is sent back, and must come again when it is not.
      EXPECT_FALSE(refused && ahead);
      refused = ahead && !refused;
      if (refused) return false;
      judged = piece.end;
      ++waiting;
      return true;
    };
    stages.count = [&](LineStages::Piece& piece) -> Status {
      const OneAtATime::Within within(counting);
      EXPECT_EQ(piece.begin, counted);
      counted = piece.end;
      seen += piece.decoded.seen;
      ++since;
      --waiting;
      return {};
    };
    stages.due = [&] { return since >= 3; };
    stages.settle = [&]() -> Status {
      const OneAtATime::Within no_judging(judging), no_counting(counting);
      EXPECT_EQ(judged, counted);
      EXPECT_EQ(waiting.load(), 0U);
      since = 0;
      ++settled;
      return {};
    };
    ASSERT_TRUE(Run(stages, piece_bytes));
    EXPECT_EQ(counted, text_.size());
    EXPECT_EQ(seen, kLines);
    EXPECT_TRUE(piece_bytes >= 100 || settled > 10);
  }
}

TEST_P(LineStagesTest, TheFirstErrorEndsIt) {
  int counted = 0;
  LineStages::Stages stages;
  stages.judge = [](LineStages::Piece&, bool) { return true; };
  stages.count = [&](LineStages::Piece&) -> Status {
    if (++counted == 20) return Fail(ErrorKind::kIo, "the disk is full");
    return {};
  };
  stages.due = [] { return false; };
  stages.settle = []() -> Status { return {}; };
  const Status done = Run(stages, 20);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().message, "the disk is full");
  EXPECT_EQ(counted, 20);
}

TEST_P(LineStagesTest, AFailedSettleEndsItToo) {
  int counted = 0;
  LineStages::Stages stages;
  stages.judge = [](LineStages::Piece&, bool) { return true; };
  stages.count = [&](LineStages::Piece&) -> Status {
    ++counted;
    return {};
  };
  stages.due = [&] { return counted == 7; };
  stages.settle = []() -> Status { return Fail(ErrorKind::kIo, "no snapshot"); };
  const Status done = Run(stages, 20);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().message, "no snapshot");
  EXPECT_LE(counted, 7 + static_cast<int>(Processor::kAheadMax) + 1);
}

INSTANTIATE_TEST_SUITE_P(Threads, LineStagesTest, ::testing::Values(1, 2, 3, 8));

}  // namespace
}  // namespace sightline::flow
