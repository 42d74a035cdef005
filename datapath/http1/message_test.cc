// Response heads, chunked bodies, head writing and dates.
#include <gtest/gtest.h>

#include <string>

#include "datapath/http1/chunked.h"
#include "datapath/http1/date.h"
#include "datapath/http1/response.h"
#include "datapath/http1/writer.h"

namespace sluice::http1 {
namespace {

using namespace std::string_literals;

Response Parsed(const std::string& head, Method method, ParseState expected = ParseState::kDone) {
  static ResponseParser parser;
  parser.Reset();
  EXPECT_EQ(parser.Parse(head, method).state, expected) << head;
  return parser.response();
}

TEST(ResponseParser, FramesTheBodyByMethodStatusAndHeaders) {
  const std::string length = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
  EXPECT_EQ(Parsed(length, Method::kGet).body, BodyKind::kLength);
  EXPECT_EQ(Parsed(length, Method::kHead).body, BodyKind::kNone);
  EXPECT_EQ(Parsed(length, Method::kHead).content_length, 5u);
  EXPECT_EQ(Parsed("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", Method::kGet).body,
            BodyKind::kNone);
  EXPECT_EQ(Parsed("HTTP/1.1 100 Continue\r\n\r\n", Method::kPut).body, BodyKind::kNone);
  EXPECT_EQ(Parsed("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", Method::kGet).body,
            BodyKind::kChunked);
  const Response until_close = Parsed("HTTP/1.1 200 OK\r\n\r\n", Method::kGet);
  EXPECT_EQ(until_close.body, BodyKind::kUntilClose);
  EXPECT_FALSE(until_close.keep_alive);
}

TEST(ResponseParser, TakesAStatusLineWithoutAPhraseAndRefusesOthers) {
  EXPECT_EQ(Parsed("HTTP/1.1 206\r\nContent-Length: 0\r\n\r\n", Method::kGet).status, 206);
  EXPECT_EQ(Parsed("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", Method::kGet).reason,
            "Not Found");
  for (const char* bad :
       {"HTTP/2 200 OK\r\n\r\n", "HTTP/1.1 20 OK\r\n\r\n", "HTTP/1.1 999 X\r\n\r\n",
        "HTTP/1.1 200OK\r\n\r\n", "ICY 200 OK\r\n\r\n", "HTTP/1.1 200 OK\nA: b\n\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"}) {
    Parsed(bad, Method::kGet, ParseState::kError);
  }
}

// Decodes `body` in pieces of `step`; "!" and the reason on an error, "?" when it needs more.
std::string Dechunk(const std::string& body, std::size_t step, std::size_t* used = nullptr) {
  ChunkedDecoder decoder;
  std::string out;
  std::size_t at = 0;
  while (at < body.size()) {
    std::string_view piece = std::string_view(body).substr(at, step);
    while (!piece.empty()) {
      const auto r = decoder.Decode(piece);
      piece.remove_prefix(r.consumed);
      at += r.consumed;
      if (r.state == ChunkedDecoder::State::kData) out += r.data;
      if (r.state == ChunkedDecoder::State::kError) return "!"s + r.why;
      if (r.state == ChunkedDecoder::State::kDone) {
        if (used != nullptr) *used = at;
        return out;
      }
    }
  }
  return out + "?";
}

TEST(ChunkedDecoder, DecodesHoweverTheBytesArriveAndStopsAtTheEnd) {
  const std::string body =
      "5\r\nhello\r\n1;ext=\"v\"\r\n,\r\n00a\r\n 0123456\r\n\r\n0\r\nTrailer: x\r\n\r\n";
  for (std::size_t step = 1; step <= body.size(); ++step) {
    std::size_t used = 0;
    EXPECT_EQ(Dechunk(body + "GET /", step, &used), "hello, 0123456\r\n");
    EXPECT_EQ(used, body.size());
  }
  EXPECT_EQ(Dechunk("3\r\nab", 100), "ab?");
}

TEST(ChunkedDecoder, RefusesWhatIsNotTheGrammar) {
  for (const std::string& bad :
       {"\r\n"s, "g\r\n"s, "-1\r\n"s, "0x5\r\nhello\r\n"s, "5 \r\nhello\r\n"s, "5\nhello\r\n"s,
        "5\r\nhelloo\r\n0\r\n\r\n"s, "5\r\nhello\n0\r\n\r\n"s, "5\r\nhello\r0\r\n\r\n"s,
        "1111111111111111\r\n"s, "1;a\rb\r\n"s, "1;a\nb\r\n"s, "0\r\nA: b\nC: d\r\n\r\n"s,
        "0\r\nA: b\r\n folded\r\n\r\n"s, "0\r\n\rX"s, "0\r\nA: \0\r\n\r\n"s}) {
    EXPECT_EQ(Dechunk(bad, 1).substr(0, 1), "!") << bad;
    EXPECT_EQ(Dechunk(bad, bad.size()).substr(0, 1), "!") << bad;
  }
}

TEST(ChunkedDecoder, BoundsExtensionsAndTrailers) {
  EXPECT_EQ(Dechunk("1;" + std::string(kMaxChunkLineBytes + 1, 'a'), 4096),
            "!chunk extension too long");
  std::string trailers = "0\r\n";
  for (std::size_t i = 0; i <= kMaxTrailerBytes / 100; ++i)
    trailers += "A: " + std::string(97, 'b') + "\r\n";
  EXPECT_EQ(Dechunk(trailers, 512), "!trailers too long");
}

TEST(HeadWriter, WritesHeadsAndRefusesToSplitThem) {
  char buffer[256];
  HeadWriter head(buffer);
  head.StatusLine(206).Header("Content-Length", std::uint64_t{12}).Header("ETag", "\"x y\"");
  EXPECT_EQ(head.Finish(),
            "HTTP/1.1 206 Partial Content\r\nContent-Length: 12\r\nETag: \"x y\"\r\n\r\n");
  HeadWriter request(buffer);
  request.RequestLine("GET", "/b/k", "partNumber=1").Header("Host", "h");
  EXPECT_EQ(request.Finish(), "GET /b/k?partNumber=1 HTTP/1.1\r\nHost: h\r\n\r\n");
  for (const std::string& evil : {"a\r\nSet-Cookie: x"s, "a\nb"s, "a\0b"s}) {
    HeadWriter split(buffer);
    EXPECT_TRUE(split.StatusLine(200).Header("ETag", evil).Finish().empty());
  }
  HeadWriter target(buffer);
  EXPECT_TRUE(target.RequestLine("GET", "/a b", "").Finish().empty());
}

TEST(HeadWriter, SaysWhenTheBufferIsTooSmall) {
  char buffer[64];
  const std::string_view whole = "HTTP/1.1 200 OK\r\nA: b\r\n\r\n";
  for (std::size_t size = 0; size <= sizeof buffer; ++size) {
    HeadWriter head(std::span<char>(buffer, size));
    EXPECT_EQ(head.StatusLine(200).Header("A", "b").Finish(),
              size < whole.size() ? std::string_view() : whole);
  }
}

TEST(Date, FormatsAndParsesTheThreeHttpForms) {
  const base::WallTime time{std::chrono::seconds(784111777)};
  char buffer[kHttpDateBytes];
  EXPECT_EQ(FormatHttpDate(time, buffer), "Sun, 06 Nov 1994 08:49:37 GMT");
  EXPECT_EQ(ParseHttpDate("Sun, 06 Nov 1994 08:49:37 GMT"), time);
  EXPECT_EQ(ParseHttpDate("Sunday, 06-Nov-94 08:49:37 GMT"), time);
  EXPECT_EQ(ParseHttpDate("Sun Nov  6 08:49:37 1994"), time);
  for (const char* bad : {"", "Sun, 06 Nov 1994 08:49:37", "Sun, 31 Feb 1994 08:49:37 GMT",
                          "Sun, 06 Nov 1994 24:49:37 GMT", "Sun, 06 Now 1994 08:49:37 GMT",
                          "Sun, 06 Nov 1994 08:49:37 GMTx", "Sun, 06 Nov 9999 08:49:37 GMT",
                          "Thu, 01 Jan 1969 00:00:00 GMT", "tomorrow, perhaps, or the day after"}) {
    EXPECT_FALSE(ParseHttpDate(bad)) << bad;
  }
}

TEST(Date, RoundTripsEveryDayOfALeapYearInBothForms) {
  for (int day = 0; day < 366; ++day) {
    const base::WallTime time{std::chrono::seconds(1704067200 + day * 86400LL + 86399 - day)};
    char http[kHttpDateBytes];
    char basic[kBasicDateBytes];
    EXPECT_EQ(ParseHttpDate(FormatHttpDate(time, http)), time);
    EXPECT_EQ(ParseBasicDate(FormatBasicDate(time, basic)), time);
  }
  EXPECT_FALSE(ParseBasicDate("20240230T000000Z"));
  EXPECT_FALSE(ParseBasicDate("2024-02-28T00:00"));
}

}  // namespace
}  // namespace sluice::http1
