#include "controller/http/request_parser.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "controller/http/limits.h"

namespace sluice::http {
namespace {

using base::Code;
using ::testing::ElementsAre;

Code Refusal(std::string_view head) { return ParseRequestHead(head).status().code(); }

TEST(RequestParser, PathAndQueryAreDecodedAndHeadersKeptInOrder) {
  const auto head = ParseRequestHead(
      "POST /a%20b/c+d?x=1+2&y=%26&&flag HTTP/1.1\r\nHost: h\r\nContent-Length: 12\r\n"
      "expect: 100-Continue\r\nX: \t a b \r\ncontent-length: 12");
  ASSERT_TRUE(head.ok()) << head.status().ToString();
  EXPECT_EQ(head->method, "POST");
  EXPECT_EQ(head->path, "/a b/c+d");
  EXPECT_THAT(head->query, ElementsAre(Header{"x", "1 2"}, Header{"y", "&"}, Header{"flag", ""}));
  EXPECT_EQ(head->headers.size(), 5U);
  EXPECT_EQ(FindHeader(head->headers, "x"), "a b");
  EXPECT_EQ(head->content_length, 12U);
  EXPECT_TRUE(head->expects_continue);
  EXPECT_EQ(ParseRequestHead("GET / HTTP/1.0")->content_length, 0U);
}

TEST(RequestParser, WhatIsNoPlainRequestIsRefused) {
  for (const char* head : {"",
                           "GET",
                           "GET /",
                           "GET  HTTP/1.1",
                           "GET / HTTP/2.0",
                           "G T / HTTP/1.1",
                           " / HTTP/1.1",
                           "GET http://h/ HTTP/1.1",
                           "OPTIONS * HTTP/1.1",
                           "GET /a b HTTP/1.1",
                           "GET /#f HTTP/1.1",
                           "GET /%4 HTTP/1.1",
                           "GET /%zz HTTP/1.1",
                           "GET /%00 HTTP/1.1",
                           "GET /?a=%0d%0a HTTP/1.1",
                           "GET / HTTP/1.1\r\nnocolon",
                           "GET / HTTP/1.1\r\n: v",
                           "GET / HTTP/1.1\r\n folded: v",
                           "GET / HTTP/1.1\r\na b: v",
                           "GET / HTTP/1.1\nHost: h",
                           "GET / HTTP/1.1\r\nA: \x01",
                           "GET / HTTP/1.1\r\nContent-Length: -1",
                           "GET / HTTP/1.1\r\nContent-Length: +1",
                           "GET / HTTP/1.1\r\nContent-Length:",
                           "GET / HTTP/1.1\r\nContent-Length: 1, 1",
                           "GET / HTTP/1.1\r\nContent-Length: 99999999999999999999",
                           "GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2"}) {
    EXPECT_EQ(Refusal(head), Code::kInvalidArgument) << head;
  }
  EXPECT_EQ(Refusal("POST / HTTP/1.1\r\nTransfer-Encoding: chunked"), Code::kFailedPrecondition);
}

TEST(RequestParser, HeadersAndParametersAreBounded) {
  std::string many = "GET / HTTP/1.1";
  std::string query = "GET /?";
  for (std::size_t i = 0; i <= kMaxHeaders; ++i) {
    many += "\r\na: b";
    query += "a&";
  }
  EXPECT_EQ(Refusal(many), Code::kResourceExhausted);
  EXPECT_EQ(Refusal(query + " HTTP/1.1"), Code::kResourceExhausted);
}

}  // namespace
}  // namespace sluice::http
