#include "sightline/serve/http_text.h"

#include <gtest/gtest.h>
#include <zlib.h>
#include <zstd.h>

#include <array>
#include <string>

#include "sightline/serve/content_decoder.h"
#include "sightline/serve/url.h"

namespace sightline::serve {
namespace {

TEST(Target, PathAndQuery) {
  const auto target = ParseTarget("/v1/a%20b/%C3%A9?x=1&y=a+b%2B&x=2&flag&=v&z=%0A");
  ASSERT_TRUE(target) << target.error().ToString();
  EXPECT_EQ(target->path, "/v1/a b/\xc3\xa9");
  const Parameters expected = {{"x", "1"}, {"y", "a b+"}, {"x", "2"}, {"flag", ""}, {"", "v"}, {"z", "\n"}};
  EXPECT_EQ(target->query, expected);
  EXPECT_EQ(ParseTarget("/a+b")->path, "/a+b") << "a plus is a blank in the query alone";
}

TEST(Target, WhatIsRefused) {
  for (const char* wrong : {"", "a", "*", "//..", "/a/..", "/./a", "/%2e%2E/x", "/a%2Fb", "/%", "/%1", "/%gg", "/%00", "/a%0d%0ab",
                            "/?a=%00", "/?a=%ff", "/%c0%af", "/a#b", "/a\tb", "/a b"}) {
    EXPECT_FALSE(ParseTarget(wrong)) << wrong;
  }
  std::string many = "/?";
  for (int i = 0; i < 201; ++i) many += "a=1&";
  EXPECT_FALSE(ParseTarget(many));
}

TEST(HttpText, Pieces) {
  std::string date;
  AppendHttpDate(date, WallTime(784111777000));
  EXPECT_EQ(date, "Sun, 06 Nov 1994 08:49:37 GMT");
  std::string value;
  AppendHeaderValue(value, "a\r\nSet-Cookie: b");
  EXPECT_EQ(value, "a  Set-Cookie: b");
  EXPECT_EQ(OriginForm("http://h:1/a?b"), "/a?b");
  EXPECT_EQ(OriginForm("HTTPS://h"), "/");
  EXPECT_EQ(OriginForm("/a"), "/a");
  EXPECT_TRUE(IsChunked("Chunked"));
  EXPECT_FALSE(IsChunked("chunked, chunked"));
  EXPECT_FALSE(IsDecimal(""));
  EXPECT_FALSE(IsDecimal("1 "));
  EXPECT_FALSE(IsDecimal("12345678901234567890"));
  EXPECT_TRUE(IsRequestId("aB-9._"));
  EXPECT_FALSE(IsRequestId("a b"));
  EXPECT_FALSE(IsRequestId(std::string(65, 'a')));
  EXPECT_EQ(MediaType(" Application/JSON ; charset=utf-8"), "application/json");
  EXPECT_TRUE(AcceptNames("text/html, text/csv;q=0.5", "text/csv"));
  EXPECT_FALSE(AcceptNames("*/*", "text/csv"));
}

std::string Gzip(std::string_view text) {
  z_stream z{};
  deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&z, text.size()) + 64, '\0');
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  z.avail_in = static_cast<uInt>(text.size());
  z.next_out = reinterpret_cast<Bytef*>(out.data());
  z.avail_out = static_cast<uInt>(out.size());
  deflate(&z, Z_FINISH);
  out.resize(z.total_out);
  deflateEnd(&z);
  return out;
}

std::string Zstd(std::string_view text) {
  std::string out(ZSTD_compressBound(text.size()), '\0');
  out.resize(ZSTD_compress(out.data(), out.size(), text.data(), text.size(), 9));
  return out;
}

Status Decode(std::string_view encoding, std::string_view bytes, std::size_t piece, ContentDecoder::Limits limits, std::string& out) {
  ByteBuffer buffer;
  SL_ASSIGN_OR_RETURN(const auto decoder, ContentDecoder::Make(encoding, limits));
  for (std::size_t at = 0; at < bytes.size(); at += piece) SL_TRY(decoder->Write(bytes.substr(at, piece), buffer));
  SL_TRY(decoder->Finish());
  out = buffer.view();
  return {};
}

TEST(ContentDecoder, EveryEncodingInPiecesOfAnySize) {
  std::string text;
  for (int i = 0; i < 20'000; ++i) text += "{\"n\":" + std::to_string(i * 7919) + "}\n";
  const ContentDecoder::Limits limits{.decoded_bytes_max = 1 << 20};
  for (const auto& [encoding, bytes] : {std::pair<std::string, std::string>{"", text},
                                        {"gzip", Gzip(text)},
                                        {"zstd", Zstd(text)},
                                        {"GZIP", Gzip(text.substr(0, 100)) + Gzip(text.substr(100))},
                                        {"zstd", Zstd(text.substr(0, 100)) + Zstd(text.substr(100))}}) {
    for (const std::size_t piece : {std::size_t{1}, std::size_t{1000}, bytes.size()}) {
      std::string out;
      const auto decoded = Decode(encoding, bytes, piece, limits, out);
      ASSERT_TRUE(decoded) << encoding << ' ' << piece << ' ' << decoded.error().ToString();
      EXPECT_EQ(out, text);
    }
  }
}

TEST(ContentDecoder, BombsAreStoppedEarly) {
  const std::string zeros(256 << 20, '\0');
  for (const auto& [encoding, bytes] : {std::pair<std::string, std::string>{"gzip", Gzip(zeros)}, {"zstd", Zstd(zeros)}}) {
    std::string out;
    const auto by_size = Decode(encoding, bytes, bytes.size(), {.decoded_bytes_max = 1 << 20}, out);
    ASSERT_FALSE(by_size);
    EXPECT_EQ(by_size.error().kind, ErrorKind::kOutOfRange);
    const auto by_ratio = Decode(encoding, bytes, bytes.size(), {.decoded_bytes_max = 1ULL << 40}, out);
    ASSERT_FALSE(by_ratio);
    EXPECT_EQ(by_ratio.error().kind, ErrorKind::kOutOfRange);
    EXPECT_NE(by_ratio.error().message.find("factor"), std::string::npos);
  }
}

TEST(ContentDecoder, BrokenInputIsNamedNotGuessed) {
  const std::string text(10'000, 'a');
  std::string out;
  const ContentDecoder::Limits limits{.decoded_bytes_max = 1 << 20};
  for (const auto& [encoding, bytes] : {std::pair<std::string, std::string>{"gzip", Gzip(text)}, {"zstd", Zstd(text)}}) {
    for (std::size_t size = 0; size < bytes.size(); ++size)
      EXPECT_FALSE(Decode(encoding, bytes.substr(0, size), 7, limits, out)) << encoding << size;
    EXPECT_FALSE(Decode(encoding, "hello" + bytes, 100, limits, out));
    EXPECT_FALSE(Decode(encoding, bytes + "garbage", 100, limits, out));
  }
  EXPECT_FALSE(Decode("br", "x", 1, limits, out));
  EXPECT_FALSE(Decode("gzip, gzip", "x", 1, limits, out));
}

}  // namespace
}  // namespace sightline::serve
