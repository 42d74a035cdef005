#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <limits>
#include <thread>
#include <type_traits>

#include "controller/base/clock.h"
#include "controller/base/digest.h"
#include "controller/base/file.h"
#include "controller/base/log.h"
#include "controller/base/status.h"
#include "controller/base/time_format.h"

namespace sluice::base {
namespace {

using std::chrono::seconds;

TEST(Status, AnnotatingKeepsCodeReasonAndRetryAfter) {
  const Status status =
      Aborted("object changed").WithReason("Conflict").WithRetryAfter(std::chrono::seconds(2));
  const Status annotated = status.Annotate("site phoenix");
  EXPECT_EQ(annotated.code(), Code::kAborted);
  EXPECT_EQ(annotated.reason(), "Conflict");
  EXPECT_EQ(annotated.retry_after(), std::chrono::seconds(2));
  EXPECT_EQ(annotated.ToString(), "Conflict: site phoenix: object changed");
}

TEST(Time, RoundTripsThroughRfc3339) {
  for (const char* text :
       {"2026-12-02T10:00:00Z", "1970-01-01T00:00:00Z", "2024-02-29T23:59:59Z"}) {
    const auto time = ParseRfc3339(text);
    ASSERT_TRUE(time.ok()) << time.status().ToString();
    EXPECT_EQ(FormatRfc3339(*time), text);
  }
}

TEST(Time, ReadsOffsetsAndFractions) {
  EXPECT_EQ(FormatRfc3339Micro(*ParseRfc3339("2026-12-02T12:30:00.123456789+02:30")),
            "2026-12-02T10:00:00.123456Z");
}

TEST(Time, RefusesWhatIsNotRfc3339) {
  for (const char* text : {"", "2026", "2026-13-01T00:00:00Z", "2026-02-30T00:00:00Z",
                           "2026-01-01T24:00:00Z", "2026-01-01T00:00:00", "2026-01-01 00:00:00Z",
                           "2026-01-01T00:00:00Zx", "2026-01-01T00:00:00.Z", "9999-01-01T00:00:00Z",
                           "2261-12-31T23:59:59-00:01", "1678-01-01T00:00:00+00:01"}) {
    EXPECT_FALSE(ParseRfc3339(text).ok()) << text;
  }
}

TEST(Durations, ParseAndFormatAreInverse) {
  for (const char* text : {"0s", "90s", "1h30m", "30d", "1d2h3m4s5ms"}) {
    const auto duration = ParseDuration(text);
    ASSERT_TRUE(duration.ok()) << text;
    EXPECT_EQ(ParseDuration(FormatDuration(*duration)).value(), *duration) << text;
  }
  EXPECT_EQ(*ParseDuration("2w"), std::chrono::hours(24 * 14));
}

TEST(Durations, RefuseBadUnitsOrderAndOverflow) {
  for (const char* text : {"", "5", "m5", "5x", "1s1h", "-5s", "99999999999999999d", "1.5h"}) {
    EXPECT_FALSE(ParseDuration(text).ok()) << text;
  }
}

TEST(Durations, ReadWellForPeople) {
  EXPECT_EQ(HumanDuration(std::chrono::hours(99)), "4 d 3 h");
  EXPECT_EQ(HumanDuration(seconds(38)), "38 s");
  EXPECT_EQ(HumanDuration(std::chrono::hours(24 * 14)), "14 d");
  EXPECT_EQ(HumanDuration(std::chrono::minutes(5)), "5 m");
  EXPECT_EQ(HumanDuration(seconds(-61)), "-1 m 1 s");
}

TEST(Digest, MatchesPublishedVectors) {
  // FIPS 180-2 appendix B.1; RFC 4231 test case 2.
  EXPECT_EQ(Sha256Hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(HexEncode(HmacSha256("Jefe", "what do ya want for nothing?")),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

TEST(Base64, RoundTripsEveryLength) {
  std::string bytes;
  for (int i = 0; i < 260; ++i) {
    EXPECT_EQ(Base64Decode(Base64Encode(bytes)).value(), bytes);
    bytes += static_cast<char>(i);
  }
  EXPECT_FALSE(Base64Decode("abc").ok());
  EXPECT_FALSE(Base64Decode("a*==").ok());
}

TEST(File, AtomicWriteReplacesAndKeepsMode) {
  const std::string path =
      std::filesystem::temp_directory_path() / ("sluice-file-test-" + std::to_string(getpid()));
  ASSERT_TRUE(WriteFileAtomic(path, "one", 0600).ok());
  ASSERT_TRUE(WriteFileAtomic(path, "two", 0600).ok());
  EXPECT_EQ(ReadFile(path).value(), "two");
  struct stat info {};
  ASSERT_EQ(stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  EXPECT_EQ(ReadFile(path, 2).status().code(), Code::kResourceExhausted);
  std::filesystem::remove(path);
  EXPECT_EQ(ReadFile(path).status().code(), Code::kNotFound);
}

TEST(Log, ALineStaysALineWhateverTheValue) {
  EXPECT_EQ(log::Render(log::Format::kText, "T", log::Level::kInfo, "site applied",
                        {{"site", "phoenix"}, {"why", "two\nlines"}, {"n", 3}}),
            "T info  site applied site=phoenix why=\"two\\nlines\" n=3");
  EXPECT_EQ(log::Render(log::Format::kJson, "T", log::Level::kWarn, "m", {{"ok", true}}),
            R"({"ts":"T","level":"warn","msg":"m","ok":true})");
}

TEST(Log, AJsonLineIsJsonWhateverBytesAndNumbersAreInIt) {
  const auto line = [](log::Fields fields) {
    return log::Render(log::Format::kJson, "T", log::Level::kInfo, "m\xff", fields);
  };
  const std::string head = "{\"ts\":\"T\",\"level\":\"info\",\"msg\":\"m\xEF\xBF\xBD\"";
  // Valid characters stay; a lone byte, a cut character and a surrogate become U+FFFD each byte.
  EXPECT_EQ(line({{"a", "\xc3\xa4"}, {"b", "\x9b[2J"}, {"c", "\xe2\x82"}}),
            head +
                ",\"a\":\"\xc3\xa4\",\"b\":\"\xEF\xBF\xBD[2J\","
                "\"c\":\"\xEF\xBF\xBD\xEF\xBF\xBD\"}");
  EXPECT_EQ(line({{"d", std::string_view("\0\t\x7f", 3)}}), head + R"(,"d":"\u0000\u0009\u007f"})");
  const double infinite = std::numeric_limits<double>::infinity();
  EXPECT_EQ(line({{"e", std::numeric_limits<double>::quiet_NaN()}, {"f", -infinite}, {"g", 1.5}}),
            head + R"(,"e":"nan","f":"-inf","g":1.500000})");
}

TEST(Log, ContextIsAddedToEveryLineInItsScope) {
  const auto line = [] { return log::Render(log::Format::kText, "T", log::Level::kInfo, "m", {}); };
  {
    const log::ScopedContext controller("controller", "site");
    EXPECT_EQ(line(), "T info  m controller=site");
    {
      const log::ScopedContext key("Widget", "a b", "ns");
      const log::ScopedContext id("reconcileID", std::uint64_t{0xfeed});
      EXPECT_EQ(line(),
                R"(T info  m controller=site Widget="ns/a b" reconcileID=000000000000feed)");
    }
    const log::ScopedContext cluster_scoped("Node", "n", "");
    EXPECT_EQ(line(), "T info  m controller=site Node=n");
  }
  EXPECT_EQ(line(), "T info  m");
}

// Contexts keep views: of a text that is gone at the end of the line they would show garbage.
static_assert(std::is_constructible_v<log::ScopedContext, const char*, const std::string&>);
static_assert(!std::is_constructible_v<log::ScopedContext, const char*, std::string>);
static_assert(!std::is_constructible_v<log::ScopedContext, const char*, std::string, const char*>);

TEST(Log, AContextOfAnotherThreadIsNotThisOnes) {
  const log::ScopedContext context("reconcileID", "7");
  std::thread([] {
    EXPECT_EQ(log::Render(log::Format::kText, "T", log::Level::kInfo, "m", {}), "T info  m");
  }).join();
}

TEST(FakeClock, AdvanceWakesAWaiterWhoseDeadlinePassed) {
  FakeClock clock;
  std::mutex mutex;
  std::condition_variable cv;
  bool ready = true;
  std::thread waiter([&] {
    std::unique_lock lock(mutex);
    ready = clock.WaitUntil(lock, cv, clock.Mono() + seconds(10), [] { return false; });
  });
  while (clock.waiters() == 0) std::this_thread::yield();
  clock.Advance(seconds(11));
  waiter.join();
  EXPECT_FALSE(ready);
}

}  // namespace
}  // namespace sluice::base
