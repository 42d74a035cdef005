#include "datapath/http1/request.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace sluice::http1 {
namespace {

using namespace std::string_literals;

int StatusOf(const std::string& head) {
  RequestParser parser;
  const ParseResult result = parser.Parse(head);
  return result.state == ParseState::kError  ? result.error.http_status
         : result.state == ParseState::kDone ? 200
                                             : 0;
}

const std::string kGet =
    "GET /bucket/a%20key?versionId=3 HTTP/1.1\r\nHost: s3.local:9000\r\nRange: bytes=0-99\r\n"
    "x-amz-date: 20260101T000000Z\r\nX-Custom:  two words \t\r\n\r\n";

TEST(RequestParser, ReadsAGetWithItsKnownAndUnknownHeaders) {
  RequestParser parser;
  const std::string pipelined = kGet + "GET /next";
  const ParseResult result = parser.Parse(pipelined);
  ASSERT_EQ(result.state, ParseState::kDone);
  EXPECT_EQ(result.consumed, kGet.size());
  const Request& request = parser.request();
  EXPECT_EQ(request.method, Method::kGet);
  EXPECT_EQ(request.path, "/bucket/a%20key");
  EXPECT_EQ(request.query, "versionId=3");
  EXPECT_EQ(request.host, "s3.local:9000");
  EXPECT_EQ(request.headers.Get(HeaderId::kRange), "bytes=0-99");
  EXPECT_EQ(request.headers.Get(HeaderId::kAmzDate), "20260101T000000Z");
  EXPECT_EQ(request.headers.Find("x-custom"), "two words");
  EXPECT_FALSE(request.headers.Find("x-missing"));
  EXPECT_TRUE(request.keep_alive);
  EXPECT_EQ(request.body, BodyKind::kNone);
}

TEST(RequestParser, GivesTheSameAnswerHoweverTheBytesArrive) {
  for (std::size_t step = 1; step < kGet.size(); ++step) {
    RequestParser parser;
    ParseResult result;
    for (std::size_t have = step;; have += step) {
      // A new buffer each time: nothing may be remembered of the old one.
      const std::string buffered = kGet.substr(0, have);
      result = parser.Parse(buffered);
      if (result.state != ParseState::kNeedMore) break;
      ASSERT_LT(have, kGet.size()) << "step " << step;
    }
    EXPECT_EQ(result.state, ParseState::kDone) << "step " << step;
    EXPECT_EQ(result.consumed, kGet.size()) << "step " << step;
  }
}

TEST(RequestParser, EveryPrefixOfAHeadNeedsMore) {
  for (std::size_t size = 0; size < kGet.size(); ++size) {
    RequestParser parser;
    EXPECT_EQ(parser.Parse(std::string_view(kGet).substr(0, size)).state, ParseState::kNeedMore)
        << size;
  }
}

TEST(RequestParser, SkipsAnEmptyLineBeforeARequestButNotMany) {
  RequestParser parser;
  EXPECT_EQ(parser.Parse("\r\n" + kGet).consumed, kGet.size() + 2);
  EXPECT_EQ(StatusOf("\r\n\r\n\r\n\r\n" + kGet), 400);
}

TEST(RequestParser, RefusesWhatAnotherParserMightReadDifferently) {
  const std::string line = "PUT /b/k HTTP/1.1\r\nHost: h\r\n";
  const std::vector<std::pair<std::string, int>> cases = {
      {line + "A: b\r\n c\r\n\r\n", 400},  // folding
      {line + "A : b\r\n\r\n", 400},       // blank before colon
      {line + ": b\r\n\r\n", 400},         // no name
      {line + "A: b\rc\r\n\r\n", 400},     // bare CR
      {line + "A: b\n\r\n", 400},          // bare LF
      {line + "A: b\0c\r\n\r\n"s, 400},    // NUL
      {line + "A\0: b\r\n\r\n"s, 400},
      {line + "Host: h\r\n\r\n", 400},  // two hosts
      {line + "Content-Length: 3\r\nContent-Length: 3\r\n\r\n", 400},
      {line + "Content-Length: 3, 3\r\n\r\n", 400},
      {line + "Content-Length: +3\r\n\r\n", 400},
      {line + "Content-Length: -3\r\n\r\n", 400},
      {line + "Content-Length: 0x3\r\n\r\n", 400},
      {line + "Content-Length:\r\n\r\n", 400},
      {line + "Content-Length: 99999999999999999999\r\n\r\n", 400},
      {line + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
      {line + "Transfer-Encoding: gzip, chunked\r\n\r\n", 501},
      {line + "Transfer-Encoding: identity\r\n\r\n", 501},
      {line + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
      {"GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\n\r\n", 400},  // no Host
      {"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\nHost: u@h\r\n\r\n", 400},
      {"GET  / HTTP/1.1\r\nHost: h\r\n\r\n", 400},
      {"GET  HTTP/1.1\r\nHost: h\r\n\r\n", 400},
      {"GET /a b HTTP/1.1\r\nHost: h\r\n\r\n", 400},
      {"GET /a\tb HTTP/1.1\r\nHost: h\r\n\r\n", 400},
      {"GET /\xc3\xa4 HTTP/1.1\r\nHost: h\r\n\r\n", 400},
      {"GET / HTTP/1.1\nHost: h\n\n", 400},
      {"GET b HTTP/1.1\r\nHost: h\r\n\r\n", 400},
      {"GET * HTTP/1.1\r\nHost: h\r\n\r\n", 400},
      {"GET http://other/b HTTP/1.1\r\nHost: h\r\n\r\n", 400},
      {"GET / HTTP/2.0\r\nHost: h\r\n\r\n", 505},
      {"GET / http/1.1\r\nHost: h\r\n\r\n", 400},
      {"\x16\x03\x01\x02 hello", 400},  // TLS on a plain port
      {line + "Expect: 200-maybe\r\n\r\n", 417},
  };
  for (const auto& [head, status] : cases) EXPECT_EQ(StatusOf(head), status) << head;
}

TEST(RequestParser, ReadsBodyFraming) {
  RequestParser parser;
  ASSERT_EQ(parser
                .Parse("PUT /b/k HTTP/1.1\r\nHost: h\r\nContent-Length: 17\r\n"
                       "Expect: 100-continue\r\n\r\n")
                .state,
            ParseState::kDone);
  EXPECT_EQ(parser.request().body, BodyKind::kLength);
  EXPECT_EQ(parser.request().content_length, 17u);
  EXPECT_TRUE(parser.request().expect_continue);
  parser.Reset();
  ASSERT_EQ(
      parser.Parse("PUT /b/k HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: Chunked\r\n\r\n").state,
      ParseState::kDone);
  EXPECT_EQ(parser.request().body, BodyKind::kChunked);
  EXPECT_FALSE(parser.request().expect_continue);
}

TEST(RequestParser, KeepsAliveByVersionAndConnectionHeader) {
  const auto keep_alive = [](const std::string& head) {
    RequestParser parser;
    EXPECT_EQ(parser.Parse(head).state, ParseState::kDone) << head;
    return parser.request().keep_alive;
  };
  EXPECT_TRUE(keep_alive("GET / HTTP/1.1\r\nHost: h\r\n\r\n"));
  EXPECT_FALSE(keep_alive("GET / HTTP/1.1\r\nHost: h\r\nConnection: TE, Close\r\n\r\n"));
  EXPECT_FALSE(keep_alive("GET / HTTP/1.0\r\n\r\n"));
  EXPECT_TRUE(keep_alive("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"));
}

TEST(RequestParser, TakesAnAbsoluteTargetThatNamesItsHost) {
  RequestParser parser;
  ASSERT_EQ(parser.Parse("GET HTTP://H:1/b/k?x HTTP/1.1\r\nHost: h:1\r\n\r\n").state,
            ParseState::kDone);
  EXPECT_EQ(parser.request().path, "/b/k");
  EXPECT_EQ(parser.request().query, "x");
}

TEST(RequestParser, BoundsTheHead) {
  std::string many = "GET / HTTP/1.1\r\nHost: h\r\n";
  for (std::size_t i = 0; i < kMaxHeaders - 1; ++i) many += "A: b\r\n";
  EXPECT_EQ(StatusOf(many + "\r\n"), 200);
  EXPECT_EQ(StatusOf(many + "A: b\r\n\r\n"), 431);
  EXPECT_EQ(StatusOf("GET /" + std::string(kMaxHeadBytes, 'a')), 431);
  // Byte by byte too, and however much follows in the buffer.
  RequestParser parser;
  std::string endless = "GET / HTTP/1.1\r\nHost: h\r\n";
  ParseResult result;
  while ((result = parser.Parse(endless)).state == ParseState::kNeedMore) {
    endless += "Xxxxxxxxxxxxxxx: " + std::string(300, 'y') + "\r\n";
    ASSERT_LT(endless.size(), 2 * kMaxHeadBytes);
  }
  EXPECT_EQ(result.error.http_status, 431);
}

TEST(Headers, EveryKnownNameIsFoundInAnyCase) {
  for (std::size_t i = 0; i < kKnownHeaders; ++i) {
    const auto id = static_cast<HeaderId>(i);
    std::string name(HeaderName(id));
    EXPECT_EQ(LookUpHeaderId(name), id) << name;
    for (char& c : name) c = static_cast<char>(std::toupper(c));
    EXPECT_EQ(LookUpHeaderId(name), id) << name;
  }
  EXPECT_EQ(LookUpHeaderId("x-amz-dat\xc5"), HeaderId::kOther);
  EXPECT_EQ(LookUpHeaderId("hose"), HeaderId::kOther);
}

TEST(Headers, ValuesMayHoldTabsAndHighBytesAtAnyPlace) {
  for (int pad = 1; pad < 40; ++pad) {
    const std::string value = std::string(static_cast<std::size_t>(pad), 'v') + "\t\xff" + "w";
    RequestParser parser;
    const std::string head = "GET / HTTP/1.1\r\nHost: h\r\nA: " + value + "\r\n\r\n";
    ASSERT_EQ(parser.Parse(head).state, ParseState::kDone) << pad;
    EXPECT_EQ(parser.request().headers.Find("a"), value);
    EXPECT_EQ(StatusOf("GET / HTTP/1.1\r\nHost: h\r\nA: " +
                       std::string(static_cast<std::size_t>(pad), 'v') + "\x01\r\n\r\n"),
              400);
  }
}

}  // namespace
}  // namespace sluice::http1
