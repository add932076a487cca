#include "apps/sightline/event_batches.h"

#include <zlib.h>
#include <zstd.h>

#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sightline::app {
namespace {

using ::testing::HasSubstr;

std::string Gzip(const std::string& text) {
  z_stream stream{};
  deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&stream, text.size()), '\0');
  std::string in = text;
  stream.next_in = reinterpret_cast<Bytef*>(in.data());
  stream.avail_in = static_cast<uInt>(in.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}
std::string Zstd(const std::string& text) {
  std::string out(ZSTD_compressBound(text.size()), '\0');
  out.resize(ZSTD_compress(out.data(), out.size(), text.data(), text.size(), 3));
  return out;
}

struct Cut {
  std::vector<EventBatch> batches;
  std::string error;
  std::uint64_t too_long = 0, first_too_long = 0;
  std::string Joined() const {
    std::string all;
    for (const EventBatch& batch : batches) all += batch.body;
    return all;
  }
};
Cut CutAll(const std::string& text, EventForm form, BatchLimits limits, Packing packing = Packing::kNone) {
  std::istringstream in(text);
  std::uint64_t consumed = 0;
  EventBatches batches(OpenByteSource(in, packing, consumed), form, limits);
  Cut cut;
  for (;;) {
    auto next = batches.Next();
    if (!next) {
      cut.error = next.error().message;
      break;
    }
    if (!*next) break;
    cut.batches.push_back(std::move(**next));
  }
  cut.too_long = batches.too_long();
  cut.first_too_long = batches.first_too_long();
  return cut;
}

TEST(EventBatches, CutsLinesAndCountsThoseThatAreNotEmpty) {
  const std::string text = "one\n\n  \ntwo\r\nthree\nfour";
  const Cut cut = CutAll(text, EventForm::kLines, {.records = 2});
  ASSERT_EQ(cut.batches.size(), 2U);
  EXPECT_EQ(cut.batches[0].body, "one\n\n  \ntwo\r\n");
  EXPECT_EQ(cut.batches[0].records, 2U);
  EXPECT_EQ(cut.batches[1].first, 5U);
  EXPECT_EQ(cut.batches[1].body, "three\nfour");
  EXPECT_EQ(CutAll("", EventForm::kLines, {}).batches.size(), 0U);
  EXPECT_EQ(CutAll("\n\n\n", EventForm::kLines, {}).batches.size(), 0U);
}

TEST(EventBatches, KeepsEveryByteWhateverTheLimits) {
  std::string text;
  for (int i = 0; i < 50'000; ++i) text += "line " + std::to_string(i * 7919) + "\n";
  for (const std::size_t bytes : {1UL, 100UL, 65'536UL, 1UL << 20}) {
    const Cut cut = CutAll(text, EventForm::kLines, {.bytes = bytes, .records = 7000});
    EXPECT_EQ(cut.Joined(), text) << bytes;
    std::uint64_t next = 1;
    for (const EventBatch& batch : cut.batches) {
      EXPECT_EQ(batch.first, next);
      next += batch.records;
    }
  }
}

TEST(EventBatches, LeavesOutALineThatIsTooLongAndGoesOn) {
  const std::string text = "a\n" + std::string(5'000'000, 'x') + "\nb\n";
  const Cut cut = CutAll(text, EventForm::kLines, {.record_bytes_max = 1'000'000});
  EXPECT_EQ(cut.Joined(), "a\nb\n");
  EXPECT_EQ(cut.too_long, 1U);
  EXPECT_EQ(cut.first_too_long, 2U);
  EXPECT_EQ(cut.batches.back().first, 3U);
}

TEST(EventBatches, CutsMessagesAtTheirLengths) {
  const std::string long_one(300, 'm');
  const std::string text = std::string(
                               "\x02"
                               "ab",
                               3) +
                           std::string("\0", 1) + "\xac\x02" + long_one;
  const Cut cut = CutAll(text, EventForm::kProtobuf, {.records = 2});
  ASSERT_EQ(cut.batches.size(), 2U);
  EXPECT_EQ(cut.batches[0].body.size(), 4U);
  EXPECT_EQ(cut.batches[1].body, "\xac\x02" + long_one);
  EXPECT_EQ(cut.batches[1].first, 3U);
  EXPECT_THAT(CutAll(text.substr(0, 20), EventForm::kProtobuf, {}).error, HasSubstr("ends within the message at byte 4"));
  EXPECT_THAT(CutAll("{\"not\": \"protobuf\"}\xff\xff\xff\xff\xff\x7f", EventForm::kProtobuf, {}).error, HasSubstr("ends within"));
  EXPECT_THAT(CutAll("\xff\xff\xff\xff\x7f", EventForm::kProtobuf, {}).error, HasSubstr("length-delimited"));
}

TEST(EventBatches, SendsAJsonDocumentWhole) {
  EXPECT_EQ(CutAll("[{}, {}]", EventForm::kJson, {.bytes = 2}).Joined(), "[{}, {}]");
  EXPECT_THAT(CutAll(std::string(3 << 20, ' '), EventForm::kJson, {.whole_bytes_max = 1 << 20}).error,
              HasSubstr("larger than 1MiB; send lines instead"));
}

TEST(EventBatches, UnpacksGzipAndZstdAndSeesDamage) {
  std::string text;
  for (int i = 0; i < 300'000; ++i) text += std::to_string(i * 2654435761ULL) + "\n";
  const std::string gzip = Gzip(text), zstd = Zstd(text);
  EXPECT_EQ(PackingOf(gzip), Packing::kGzip);
  EXPECT_EQ(PackingOf(zstd), Packing::kZstd);
  EXPECT_EQ(PackingOf("{\"a\": 1}"), Packing::kNone);
  EXPECT_EQ(CutAll(gzip, EventForm::kLines, {}, Packing::kGzip).Joined(), text);
  EXPECT_EQ(CutAll(gzip + gzip, EventForm::kLines, {}, Packing::kGzip).Joined(), text + text);
  EXPECT_EQ(CutAll(zstd + zstd, EventForm::kLines, {}, Packing::kZstd).Joined(), text + text);
  EXPECT_THAT(CutAll(gzip.substr(0, gzip.size() / 2), EventForm::kLines, {}, Packing::kGzip).error, HasSubstr("ends in its middle"));
  EXPECT_THAT(CutAll(zstd.substr(0, zstd.size() / 2), EventForm::kLines, {}, Packing::kZstd).error, HasSubstr("ends in its middle"));
  std::string damaged = gzip;
  damaged[gzip.size() / 2] = static_cast<char>(damaged[gzip.size() / 2] ^ 0x55);
  EXPECT_THAT(CutAll(damaged, EventForm::kLines, {}, Packing::kGzip).error, HasSubstr("damaged"));
}

TEST(EventForms, ByName) {
  EXPECT_EQ(EventFormOf("a.ndjson"), EventForm::kLines);
  EXPECT_EQ(EventFormOf("-"), EventForm::kLines);
  EXPECT_EQ(EventFormOf("a.json.gz"), EventForm::kJson);
  EXPECT_EQ(EventFormOf("a.pb.zst"), EventForm::kProtobuf);
}

}  // namespace
}  // namespace sightline::app
