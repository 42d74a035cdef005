#include "controller/http/response_parser.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "controller/http/control_bytes.h"
#include "controller/http/limits.h"
#include "controller/http/url.h"

namespace sluice::http {
namespace {

using base::Code;

TEST(Url, IsTakenApart) {
  const Url url = ParseUrl("https://user:pw@[::1]:6443/api?x=1").value();
  EXPECT_EQ(url.host, "::1");
  EXPECT_EQ(url.port, 6443);
  EXPECT_EQ(url.userinfo, "user:pw");
  EXPECT_EQ(url.path, "/api?x=1");
  EXPECT_EQ(url.Authority(), "[::1]:6443");
  EXPECT_EQ(ParseUrl("http://h").value().Authority(), "h");
  for (const char* bad : {"", "h:80", "ftp://h", "http://", "http://h:0", "http://h:99999",
                          "http://h h", "http://::1", "http://h#f", "http://[::1"}) {
    EXPECT_FALSE(ParseUrl(bad).ok()) << bad;
  }
}

TEST(Url, QueryNamesAndValuesAreEncoded) {
  EXPECT_EQ(EncodeQuery({{"query", "up{job=\"a\"} > 1"}, {"t", "1"}}),
            "query=up%7Bjob%3D%22a%22%7D%20%3E%201&t=1");
}

struct Parsed {
  base::Status status;
  std::string body;
  bool done = false;
  bool keep = false;
};

Parsed ParseInSteps(std::string_view bytes, std::size_t step, bool ended = false) {
  ResponseParser parser(false);
  Parsed out;
  while (!bytes.empty() && !parser.done()) {
    const auto used = parser.Feed(bytes.substr(0, step), [&](std::string_view piece) {
      out.body += piece;
      return base::OkStatus();
    });
    if (!used.ok()) {
      out.status = used.status();
      return out;
    }
    bytes.remove_prefix(*used);
  }
  if (ended) out.status = parser.FeedEnd();
  out.done = parser.done();
  out.keep = parser.keep_alive();
  return out;
}

TEST(ResponseParser, GivesTheSameBodyInAnyCutting) {
  const std::string fixed = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
  const std::string chunked =
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nhe\r\n3\r\nllo\r\n0\r\nT: "
      "t\r\n\r\n";
  const std::string interim = "HTTP/1.1 103 Early\r\nLink: x\r\n\r\n" + fixed;
  for (const std::string& text : {fixed, chunked, interim}) {
    for (std::size_t step = 1; step <= text.size(); ++step) {
      const Parsed parsed = ParseInSteps(text, step);
      EXPECT_TRUE(parsed.done) << step;
      EXPECT_TRUE(parsed.keep);
      EXPECT_EQ(parsed.body, "hello");
    }
  }
}

TEST(ResponseParser, TheHeadIsToldOfOnceBeforeAnyOfTheBody) {
  const std::string interim = "HTTP/1.1 103 Early\r\n\r\n";
  const std::string head = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n";
  ResponseParser parser(false);
  std::vector<std::string> pieces;
  const auto feed = [&](std::string_view bytes) {
    EXPECT_TRUE(parser
                    .Feed(bytes,
                          [&](std::string_view piece) {
                            EXPECT_EQ(parser.status(), 200);
                            pieces.emplace_back(piece);
                            return base::OkStatus();
                          })
                    .ok());
    return pieces;
  };
  EXPECT_EQ(feed(interim), std::vector<std::string>());
  EXPECT_EQ(feed(head), std::vector<std::string>{""});
  EXPECT_EQ(feed("hi"), (std::vector<std::string>{"", "hi"}));
}

TEST(ResponseParser, ABodyUntilCloseIsWholeOnlyAtTheEnd) {
  const std::string text = "HTTP/1.1 200 OK\r\n\r\nhello";
  EXPECT_FALSE(ParseInSteps(text, 3).done);
  const Parsed ended = ParseInSteps(text, 3, true);
  EXPECT_TRUE(ended.done);
  EXPECT_FALSE(ended.keep);
}

TEST(ResponseParser, ACutAnswerIsNeverWhole) {
  for (const char* text :
       {"", "HTTP/1.1 200 OK\r\nContent-Le", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"}) {
    EXPECT_EQ(ParseInSteps(text, 4, true).status.reason(), "ConnectionCut") << text;
  }
}

TEST(ResponseParser, RefusesWhatCouldBeReadTwoWays) {
  for (const char* text :
       {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\n", "HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "HTTP/2 200\r\n\r\n      ",
        "HTTP/1.1 999 X\r\n\r\n", "HTTP/1.1 101 X\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloX\r\n"}) {
    EXPECT_EQ(ParseInSteps(text, 100).status.code(), Code::kDataLoss) << text;
  }
}

TEST(ControlBytes, AreFoundAtEveryPlaceAndOnlyThese) {
  for (std::size_t at = 0; at < 20; ++at) {
    for (int byte = 0; byte < 256; ++byte) {
      std::string text(20, 'a');
      text[at] = static_cast<char>(byte);
      const bool control = (byte < 0x20 && byte != '\t') || byte == 0x7f;
      EXPECT_EQ(HasControl(text), control) << byte << " at " << at;
    }
  }
  EXPECT_FALSE(HasControl(std::string(40, '\t')));
}

TEST(ResponseParser, BoundsTheHead) {
  const std::string endless = "HTTP/1.1 200 OK\r\nA: " + std::string(kMaxHeaderBytes, 'x');
  EXPECT_EQ(ParseInSteps(endless, 1000).status.code(), Code::kResourceExhausted);
}

}  // namespace
}  // namespace sluice::http
