#include "controller/rpc/framing.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace sluice::rpc {
namespace {

std::string Framed(std::string_view message) {
  const Prefix prefix = PrefixOf(message.size());
  return std::string(prefix.data(), prefix.size()) + std::string(message);
}

// What a reader makes of `bytes` that come `step` at a time.
struct Outcome {
  std::vector<std::string> messages;
  base::Status status;
  bool midway = false;
};
Outcome ReadInSteps(std::string_view bytes, std::size_t step, std::size_t most = 100) {
  MessageReader reader(most);
  Outcome out;
  for (std::size_t at = 0; at < bytes.size() && out.status.ok(); at += step) {
    out.status = reader.Feed(bytes.substr(at, step),
                             [&](std::string_view message) { out.messages.emplace_back(message); });
  }
  out.midway = reader.midway();
  return out;
}

TEST(MessageReader, MessagesAreTheSameHoweverTheyAreCut) {
  const std::string bytes = Framed("first") + Framed("") + Framed("the third") + Framed("");
  for (std::size_t step = 1; step <= bytes.size(); ++step) {
    const Outcome out = ReadInSteps(bytes, step);
    EXPECT_TRUE(out.status.ok());
    EXPECT_EQ(out.messages, (std::vector<std::string>{"first", "", "the third", ""})) << step;
    EXPECT_FALSE(out.midway);
  }
}

TEST(MessageReader, AMessageOverTheBoundIsRefusedByItsPrefix) {
  EXPECT_EQ(ReadInSteps(Framed(std::string(100, 'x')), 7).messages.size(), 1u);
  const std::string long_one = Framed(std::string(101, 'x'));
  for (const std::size_t step : {1, 5, 200}) {
    const Outcome out = ReadInSteps(long_one.substr(0, kPrefixBytes), step);
    EXPECT_EQ(out.status.code(), base::Code::kResourceExhausted) << step;
    EXPECT_TRUE(out.messages.empty());
  }
  EXPECT_EQ(ReadInSteps(std::string("\0\xFF\xFF\xFF\xFF", 5), 5).status.code(),
            base::Code::kResourceExhausted);
}

TEST(MessageReader, CompressedAndUnknownFlagsAreRefused) {
  EXPECT_EQ(ReadInSteps(std::string("\1\0\0\0\0", 5), 5).status.code(), base::Code::kUnimplemented);
  EXPECT_EQ(ReadInSteps(std::string("\2\0\0\0\0", 5), 1).status.code(), base::Code::kInternal);
}

TEST(MessageReader, KeepsNoMoreThanHasCome) {
  MessageReader reader(1 << 20);
  std::string bytes = Framed(std::string(1 << 20, 'x')).substr(0, 300);
  ASSERT_TRUE(reader.Feed(bytes, [](std::string_view) { FAIL(); }).ok());
  EXPECT_TRUE(reader.midway());
  EXPECT_LE(reader.held_bytes(), 600u);
}

TEST(PercentEncode, LeavesPrintableAsciiAndEncodesTheRest) {
  EXPECT_EQ(PercentEncode("node n1: ok~"), "node n1: ok~");
  EXPECT_EQ(PercentEncode("100%\n\u20ac\x7f"), "100%25%0A%E2%82%AC%7F");
  EXPECT_EQ(PercentEncode(""), "");
}

TEST(ParseTimeout, TakesTheFormOfTheProtocolAndNothingElse) {
  EXPECT_EQ(ParseTimeout("250m"), std::chrono::milliseconds(250));
  EXPECT_EQ(ParseTimeout("1S"), std::chrono::seconds(1));
  EXPECT_EQ(ParseTimeout("0n"), std::chrono::nanoseconds(0));
  EXPECT_GT(ParseTimeout("99999999H"), std::chrono::hours(24 * 365));
  EXPECT_EQ(ParseTimeout("99999999M"), std::chrono::minutes(99'999'999));
  for (const char* bad : {"", "S", "1", "-1S", "1 S", "123456789S", "1s", "1.5S", "+1S"}) {
    EXPECT_FALSE(ParseTimeout(bad)) << bad;
  }
}

}  // namespace
}  // namespace sluice::rpc
