#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "sightline/gate/decoder.h"
#include "sightline/gate/testing/contracts.h"

namespace sightline::gate {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string Event(std::int64_t id, std::string_view item = "person") {
  return R"({"geographical_location_oid":)" + std::to_string(id % 7) + R"(,"video_camera_oid":)" + std::to_string(id % 70) +
         R"(,"detection_oid":)" + std::to_string(id) + R"(,"item_name":")" + std::string(item) + R"(","timestamp_detected":)" +
         std::to_string(1'700'000'000'000 + id) + "}";
}

std::string Shuffled(std::int64_t id, std::mt19937_64& random) {
  std::vector<std::string> members = {R"("geographical_location_oid":)" + std::to_string(id % 7),
                                      R"("video_camera_oid": )" + std::to_string(id % 70),
                                      R"("detection_oid":)" + std::to_string(id),
                                      R"("item_name":"caf\u00e9 \"x\"")",
                                      R"("timestamp_detected":)" + std::to_string(1'700'000'000'000 + id),
                                      R"("extra":[1,"\\"])"};
  std::ranges::shuffle(members, random);
  std::string out = "{";
  for (const std::string& member : members) out += (out.size() == 1 ? "" : ",") + member;
  return out + "}";
}

// A text of good records in several shapes, broken ones, empty lines and both line ends.
std::string Mixed(std::uint64_t seed, std::size_t lines) {
  std::mt19937_64 random(seed);
  std::string text;
  for (std::size_t i = 0; i < lines; ++i) {
    const auto id = static_cast<std::int64_t>(random() >> (random() % 60 + 1));
    switch (random() % 12) {
      case 0: text += Shuffled(id, random); break;
      case 1: text += Event(id).substr(0, 37); break;
      case 2: text += Event(id, "\xff"); break;
      case 3: text += Event(id, "a\\u0000"); break;
      case 4: break;
      case 5: text += Event(id, "\xe6\x98\xbc\xe9\xa3\x9f") + "\r"; break;
      case 6: text += R"({"detection_oid":"1"})"; break;
      default: text += Event(id, "person");
    }
    text += "\n";
  }
  return text;
}

// All that a decode says, as lines of text.
void Append(const Decoded& decoded, std::uint32_t base, std::vector<std::string>& out) {
  for (std::size_t row = 0; row < decoded.rows.rows; ++row) {
    std::string line = std::to_string(base + decoded.record_of[row]) + " row";
    for (const std::size_t f : {0U, 1U, 2U, 4U}) line += " " + std::to_string(decoded.rows.columns[f].int64s[row]);
    out.push_back(line + " " + std::string(decoded.rows.columns[3].strings[row]) + " " + std::string(decoded.records[row]));
  }
  for (const Reject& reject : decoded.rejects) {
    out.push_back(std::to_string(base + reject.record) + " " + std::string(VerdictName(reject.verdict)) + " " + reject.field + " " +
                  reject.cause + " " + std::string(reject.bytes));
  }
}

struct Whole {
  std::vector<std::string> said;
  std::uint32_t seen = 0;
  std::uint64_t extra_fields = 0;
  friend bool operator==(const Whole&, const Whole&) = default;
};

// Feeds `text` in chunks, keeping what was not consumed, as a reader of a stream does.
template <typename ChunkSize>
Whole InChunks(const std::string& text, Decoder::Limits limits, std::size_t rows_max, const ChunkSize& chunk_size) {
  const governance::Contract contract = CameraEvents();
  Decoder decoder(contract, limits);
  Decoded decoded;
  Whole whole;
  std::string held;
  std::size_t at = 0;
  for (bool last = false;;) {
    const std::size_t more = std::min<std::size_t>(chunk_size(), text.size() - at);
    held.append(text, at, more);
    at += more;
    last = at == text.size();
    for (;;) {
      const std::vector<char> exact(held.begin(), held.end());
      const std::size_t consumed = decoder.DecodeLines({exact.data(), exact.size()}, last, rows_max, decoded);
      Append(decoded, whole.seen, whole.said);
      whole.seen += decoded.seen;
      whole.extra_fields += decoded.extra_fields;
      held.erase(0, consumed);
      if (consumed == 0 || held.empty()) break;
    }
    if (last) break;
  }
  EXPECT_TRUE(held.empty()) << held.size();
  std::ranges::sort(whole.said, {}, [](const std::string& line) { return std::stoul(line); });
  return whole;
}

TEST(Lines, ChunksDoNotChangeTheResult) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    std::string text = Mixed(seed, 300);
    if (seed % 2 == 0) text.pop_back();  // the last line without its end
    const Whole once = InChunks(text, {}, 100'000, [&] { return text.size(); });
    ASSERT_GT(once.seen, 200U);
    ASSERT_EQ(once.said.size(), once.seen);
    std::mt19937_64 random(seed);
    for (const std::size_t largest : {1UZ, 40UZ, 200UZ, 3000UZ}) {
      const Whole pieces = InChunks(text, {}, 1 + random() % 50, [&] { return 1 + random() % largest; });
      ASSERT_EQ(pieces, once) << "seed " << seed << " chunks up to " << largest;
    }
  }
}

TEST(Lines, LongLinesAreRefusedOnceInAnyChunks) {
  const Decoder::Limits limits{.record_bytes_max = 300};
  const std::string text = Event(1) + "\n" + Event(2, std::string(5000, 'x')) + "\n" + Event(3) + "\n" + std::string(400, ' ') + "\n" +
                           Event(4) + "\n" + std::string(301, '{') + "\n" + std::string(300, '{') + "\n" + std::string(100'000, '"');
  const Whole once = InChunks(text, limits, 100'000, [&] { return text.size(); });
  EXPECT_EQ(once.seen, 8U);
  EXPECT_THAT(once.said[1], HasSubstr("longer than the limit of 300 bytes"));
  EXPECT_THAT(once.said[3], HasSubstr("longer than the limit"));
  EXPECT_THAT(once.said[5], HasSubstr("longer than the limit"));
  EXPECT_THAT(once.said[6], HasSubstr("name in quotes"));
  EXPECT_THAT(once.said[7], HasSubstr("longer than the limit"));
  for (const std::size_t size : {1UZ, 7UZ, 299UZ, 300UZ, 301UZ, 302UZ, 1000UZ}) {
    ASSERT_EQ(InChunks(text, limits, 1000, [&] { return size; }), once) << size;
  }
}

TEST(Lines, ALineThatGoesOnIsLeftForTheNextCall) {
  const governance::Contract contract = CameraEvents();
  Decoder decoder(contract, {});
  Decoded decoded;
  const std::string text = Event(1) + "\n" + Event(2);
  EXPECT_EQ(decoder.DecodeLines(text, false, 10, decoded), Event(1).size() + 1);
  EXPECT_EQ(decoded.rows.rows, 1U);
  EXPECT_EQ(decoder.DecodeLines(Event(2), false, 10, decoded), 0U);
  EXPECT_EQ(decoded.seen, 0U);
  EXPECT_EQ(decoder.DecodeLines(Event(2), true, 10, decoded), Event(2).size());
  EXPECT_EQ(decoded.rows.rows, 1U);
}

TEST(Lines, StopsAtTheAskedNumberOfRecords) {
  const governance::Contract contract = CameraEvents();
  Decoder decoder(contract, {});
  Decoded decoded;
  const std::string text = Event(1) + "\nbroken\n" + Event(2) + "\n" + Event(3) + "\n";
  std::size_t consumed = decoder.DecodeLines(text, true, 3, decoded);
  EXPECT_EQ(decoded.seen, 3U);
  EXPECT_EQ(decoded.rows.rows, 2U);
  EXPECT_THAT(decoded.record_of, ElementsAre(0U, 2U));
  ASSERT_EQ(decoded.rejects.size(), 1U);
  EXPECT_EQ(decoded.rejects[0].record, 1U);
  EXPECT_EQ(decoded.rejects[0].bytes, "broken");
  consumed += decoder.DecodeLines(std::string_view(text).substr(consumed), true, 3, decoded);
  EXPECT_EQ(consumed, text.size());
  EXPECT_EQ(decoded.seen, 1U);
}

TEST(Lines, EmptyAndBlankLinesAreNoRecords) {
  const governance::Contract contract = CameraEvents();
  Decoder decoder(contract, {});
  Decoded decoded;
  const std::string text = "\n\n\r\n  \t\r\n" + Event(1) + "\r\n\n";
  EXPECT_EQ(decoder.DecodeLines(text, true, 10, decoded), text.size());
  EXPECT_EQ(decoded.seen, 1U);
  EXPECT_EQ(decoded.records[0], Event(1) + "\r");
  EXPECT_EQ(decoder.DecodeLines("", true, 10, decoded), 0U);
  EXPECT_EQ(decoded.seen, 0U);
}

TEST(Lines, ViewsPointIntoTheInput) {
  const governance::Contract contract = CameraEvents();
  Decoder decoder(contract, {});
  Decoded decoded;
  const std::string text = Event(1) + "\n" + Event(2) + "\n" + Event(3);  // the last one is parsed from a padded copy
  decoder.DecodeLines(text, true, 10, decoded);
  ASSERT_EQ(decoded.rows.rows, 3U);
  for (std::size_t row = 0; row < 3; ++row) {
    for (const std::string_view view : {decoded.records[row], decoded.rows.columns[3].strings[row]}) {
      EXPECT_GE(view.data(), text.data());
      EXPECT_LE(view.data() + view.size(), text.data() + text.size());
    }
  }
}

// A mapping that ends with its page: reading one byte further ends the program.
class Mapping {
 public:
  Mapping() : page_(static_cast<std::size_t>(::sysconf(_SC_PAGESIZE))) {
    memory_ = static_cast<char*>(::mmap(nullptr, 4 * page_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    EXPECT_NE(memory_, MAP_FAILED);
    EXPECT_EQ(::mprotect(memory_ + 3 * page_, page_, PROT_NONE), 0);
  }
  ~Mapping() { ::munmap(memory_, 4 * page_); }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  std::string_view AtEnd(std::string_view text) {
    char* const at = memory_ + 3 * page_ - text.size();
    std::memcpy(at, text.data(), text.size());
    return {at, text.size()};
  }

 private:
  std::size_t page_;
  char* memory_;
};

TEST(Lines, NothingIsReadBehindAMapping) {
  const governance::Contract contract = CameraEvents();
  Mapping mapping;
  Decoded decoded;
  std::mt19937_64 random(3);
  for (const std::string& last : {Event(123456789012345), Event(5, "caf\\u00e9"), Event(5, "\xe6\x98\xbc"), Shuffled(9, random),
                                  std::string("12345"), std::string("[1,2]"), std::string("\"abc\"")}) {
    for (std::size_t size = 0; size <= last.size(); ++size) {
      for (const std::string_view before : {"", "{}\n"}) {
        const std::string text = std::string(before) + (before.empty() ? "" : Event(1) + "\n" + Event(2) + "\n") + last.substr(0, size);
        Decoder decoder(contract, {});
        const std::string_view mapped = mapping.AtEnd(text);
        ASSERT_EQ(decoder.DecodeLines(mapped, true, 100, decoded), text.size());
        Decoder framed(contract, {});
        const std::string_view records[] = {mapped, mapped};
        framed.DecodeRecords(bus::Encoding::kJson, records, decoded);
        ASSERT_EQ(decoded.seen, 2U);
        framed.DecodeRecords(bus::Encoding::kProtobuf, records, decoded);
        ASSERT_EQ(decoded.seen, 2U);
      }
    }
  }
}

// Framed records lie close together in a batch: one must not borrow bytes of the next.
TEST(Lines, FramedRecordsEndWhereTheyEnd) {
  const governance::Contract contract = CameraEvents();
  const std::string one = Event(42);
  const std::string batch = one + one + one;
  const std::size_t size = one.size();
  for (std::size_t cut = 0; cut < size; ++cut) {
    // The first record is good and teaches the shape, the second is cut, and its missing bytes follow as the start of the third.
    const std::string_view all(batch);
    const std::string_view records[] = {all.substr(0, size), all.substr(size, cut), all.substr(size + cut), all.substr(2 * size)};
    Decoder decoder(contract, {});
    Decoded decoded;
    decoder.DecodeRecords(bus::Encoding::kJson, records, decoded);
    ASSERT_EQ(decoded.rows.rows, 2U) << cut;
    ASSERT_EQ(decoded.rejects.size(), 2U) << cut;
    ASSERT_EQ(decoded.rejects[0].record, 1U);
    ASSERT_EQ(decoded.rejects[0].verdict, Verdict::kMalformed) << cut;
  }
  const std::string digits = "12" + std::string(200, '3');
  const std::string_view numbers[] = {std::string_view(digits).substr(0, 2), std::string_view(digits).substr(2)};
  Decoder decoder(contract, {});
  Decoded decoded;
  decoder.DecodeRecords(bus::Encoding::kJson, numbers, decoded);
  ASSERT_EQ(decoded.rejects.size(), 2U);
  EXPECT_THAT(decoded.rejects[0].cause, HasSubstr("the number 12;"));
}

// The decoder makes room as rows come: for many in a batch that had few, with nulls in the rows before and after.
TEST(Lines, RoomGrowsWithTheRows) {
  const governance::Contract contract = EveryRule();
  Decoder decoder(contract, {});
  Decoded decoded;
  for (const std::size_t lines : {3UL, 5000UL, 40UL, 20'000UL}) {
    std::string text;
    for (std::size_t i = 0; i < lines; ++i) {
      text += "{\"id\":" + std::to_string(i) + (i % 3 == 0 ? R"(,"level":null)" : R"(,"level":4)") + R"(,"free":"t)" + std::to_string(i) +
              "\"}\n";
    }
    EXPECT_EQ(decoder.DecodeLines(text, true, text.size(), decoded), text.size());
    ASSERT_EQ(decoded.rows.rows, lines);
    ASSERT_EQ(decoded.records.size(), lines);
    for (std::size_t i = 0; i < lines; ++i) {
      ASSERT_EQ(decoded.rows.columns[0].int64s[i], static_cast<std::int64_t>(i));
      ASSERT_EQ(decoded.rows.columns[1].IsNull(i), i % 3 == 0) << i;
      ASSERT_TRUE(decoded.rows.columns[3].IsNull(i));
      ASSERT_EQ(decoded.rows.columns[8].strings[i], "t" + std::to_string(i));
      ASSERT_EQ(decoded.record_of[i], i);
    }
  }
}

}  // namespace
}  // namespace sightline::gate
