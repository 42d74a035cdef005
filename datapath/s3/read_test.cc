// What a read answers: ranges and conditions.
#include <gtest/gtest.h>

#include <string>

#include "datapath/http1/request.h"
#include "datapath/s3/conditional.h"
#include "datapath/s3/range.h"

namespace sluice::s3 {
namespace {

std::string Range(const std::string& header, std::uint64_t size) {
  const RangeAnswer answer = EvaluateRange(header, size);
  if (answer.kind == RangeKind::kUnsatisfiable) return "416";
  return (answer.kind == RangeKind::kPart ? "206 " : "200 ") + std::to_string(answer.first) + "+" +
         std::to_string(answer.length);
}

TEST(Range, HonoursOneRangeInEachForm) {
  EXPECT_EQ(Range("bytes=0-0", 100), "206 0+1");
  EXPECT_EQ(Range("bytes=10-19", 100), "206 10+10");
  EXPECT_EQ(Range("bytes=10-", 100), "206 10+90");
  EXPECT_EQ(Range("bytes=-10", 100), "206 90+10");
  EXPECT_EQ(Range("bytes=-1000", 100), "206 0+100");
  EXPECT_EQ(Range("bytes=90-1000", 100), "206 90+10");
  EXPECT_EQ(Range("Bytes=0-99", 100), "206 0+100");
  EXPECT_EQ(Range("bytes=5-99999999999999999999999", 100), "206 5+95");
}

TEST(Range, CannotSatisfyWhatLiesBehindTheObject) {
  EXPECT_EQ(Range("bytes=100-", 100), "416");
  EXPECT_EQ(Range("bytes=100-200", 100), "416");
  EXPECT_EQ(Range("bytes=-0", 100), "416");
  EXPECT_EQ(Range("bytes=0-", 0), "416");
  EXPECT_EQ(Range("bytes=-5", 0), "200 0+0");
  EXPECT_EQ(Range("bytes=99999999999999999999999-", 100), "416");
}

TEST(Range, IgnoresSeveralAndMalformedRanges) {
  for (const char* ignored :
       {"", "bytes=0-1,5-6", "bytes=5-2", "bytes=", "bytes=-", "bytes=a-b", "bytes=1-2x",
        "items=0-1", "0-1", "bytes", "bytes=--1", "bytes=1 -2", "bytes= -1", "bytes= 1-2"})
    EXPECT_EQ(Range(ignored, 100), "200 0+100") << ignored;
}

TEST(Range, WritesAndReadsContentRange) {
  char buffer[80];
  EXPECT_EQ(WriteContentRange({RangeKind::kPart, 10, 5}, 100, buffer), "bytes 10-14/100");
  EXPECT_EQ(WriteContentRange({RangeKind::kUnsatisfiable, 0, 0}, 100, buffer), "bytes */100");
  std::uint64_t first = 0, last = 0, total = 0;
  ASSERT_TRUE(ParseContentRange("bytes 10-14/100", &first, &last, &total));
  EXPECT_EQ(first + last + total, 124u);
  EXPECT_TRUE(ParseContentRange("bytes 0-0/*", &first, &last, &total));
  for (const char* bad : {"", "bytes */100", "bytes 5-4/100", "bytes 0-100/100", "bytes 0-1",
                          "bytes 0-1/", "bytes 0-1/x", "items 0-1/2"})
    EXPECT_FALSE(ParseContentRange(bad, &first, &last, &total)) << bad;
}

const char kBefore[] = "Sat, 01 Nov 2025 00:00:00 GMT";
const char kAt[] = "Sun, 02 Nov 2025 00:00:00 GMT";
const char kAfter[] = "Mon, 03 Nov 2025 00:00:00 GMT";
const base::WallTime kNow{std::chrono::seconds(1762214400)};  // 4 November 2025
const ObjectFacts kObject{"\"abc\"", base::WallTime(std::chrono::milliseconds(1762041600700))};

int Condition(const std::string& headers) {
  http1::RequestParser parser;
  const std::string head = "GET /b/k HTTP/1.1\r\nHost: h\r\n" + headers + "\r\n";
  EXPECT_EQ(parser.Parse(head).state, http1::ParseState::kDone);
  const Error error = EvaluateConditions(parser.request().headers, kObject, kNow);
  return error ? error.http_status() : 200;
}
std::string H(const std::string& name, const std::string& value) {
  return name + ": " + value + "\r\n";
}

TEST(Conditions, CompareTags) {
  for (const char* match :
       {"\"abc\"", "abc", "*", "\"x\", \"abc\"", "\"x\",abc ", "\"a,b\",\"abc\""})
    EXPECT_EQ(Condition(H("If-Match", match)), 200) << match;
  for (const char* other : {"\"x\"", "\"ab\"", "W/\"abc\"", "\"x,abc\""})
    EXPECT_EQ(Condition(H("If-Match", other)), 412) << other;
  EXPECT_EQ(Condition(H("If-None-Match", "\"abc\"")), 304);
  EXPECT_EQ(Condition(H("If-None-Match", "W/\"abc\"")), 304);
  EXPECT_EQ(Condition(H("If-None-Match", "*")), 304);
  EXPECT_EQ(Condition(H("If-None-Match", "\"x\"")), 200);
}

TEST(Conditions, CompareDatesToTheSecond) {
  EXPECT_EQ(Condition(H("If-Modified-Since", kBefore)), 200);
  EXPECT_EQ(Condition(H("If-Modified-Since", kAt)), 304);
  EXPECT_EQ(Condition(H("If-Modified-Since", kAfter)), 304);
  EXPECT_EQ(Condition(H("If-Unmodified-Since", kBefore)), 412);
  EXPECT_EQ(Condition(H("If-Unmodified-Since", kAt)), 200);
  EXPECT_EQ(Condition(H("If-Unmodified-Since", kAfter)), 200);
  EXPECT_EQ(Condition(H("If-Modified-Since", "Tue, 03 Nov 2026 00:00:00 GMT")), 200);  // the future
  EXPECT_EQ(Condition(H("If-Modified-Since", "yesterday")), 200);
  EXPECT_EQ(Condition(H("If-Unmodified-Since", "yesterday")), 200);
}

TEST(Conditions, TagsWinOverDatesAsS3SaysIt) {
  EXPECT_EQ(Condition(H("If-Match", "abc") + H("If-Unmodified-Since", kBefore)), 200);
  EXPECT_EQ(Condition(H("If-None-Match", "abc") + H("If-Modified-Since", kBefore)), 304);
  EXPECT_EQ(Condition(H("If-None-Match", "x") + H("If-Modified-Since", kAfter)), 200);
  EXPECT_EQ(Condition(H("If-Match", "x") + H("If-None-Match", "abc")), 412);
}

TEST(Conditions, IfRangeDecidesWhetherTheRangeCounts) {
  const auto applies = [](const std::string& value) {
    http1::Headers headers;
    headers.Add("If-Range", value);
    return RangeApplies(headers, kObject);
  };
  EXPECT_TRUE(applies("\"abc\""));
  EXPECT_FALSE(applies("\"x\""));
  EXPECT_FALSE(applies("W/\"abc\""));
  EXPECT_TRUE(applies(kAt));
  EXPECT_FALSE(applies(kBefore));
  EXPECT_TRUE(RangeApplies(http1::Headers(), kObject));
}

}  // namespace
}  // namespace sluice::s3
