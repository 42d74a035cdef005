#include "reconcilers/gates/calendar.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "controller/base/time_format.h"

namespace sluice::gates {
namespace {

using std::chrono::hours;
using ::testing::HasSubstr;

base::WallTime Utc(const std::string& text) { return base::ParseRfc3339(text).value(); }

struct PeriodCase {
  const char* what;
  const char* window;
  const char* anchor;
  const char* zone;
  const char* now;
  const char* start;
  const char* end;
};

const PeriodCase kPeriods[] = {
    {"a month", "1M", "2026-01-01 00:00:00", "UTC", "2026-11-23T00:52:00Z", "2026-11-01T00:00:00Z",
     "2026-12-01T00:00:00Z"},
    {"its first instant", "1M", "2026-01-01 00:00:00", "UTC", "2026-12-01T00:00:00Z",
     "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"},
    {"its last second", "1M", "2026-01-01 00:00:00", "UTC", "2026-11-30T23:59:59Z",
     "2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z"},
    {"from the 31st: February has its last day", "1M", "2026-01-31 00:00:00", "UTC",
     "2026-02-28T00:00:00Z", "2026-02-28T00:00:00Z", "2026-03-31T00:00:00Z"},
    {"the day before belongs to January's", "1M", "2026-01-31 00:00:00", "UTC",
     "2026-02-27T23:59:59Z", "2026-01-31T00:00:00Z", "2026-02-28T00:00:00Z"},
    {"February of a leap year", "1M", "2026-01-31 00:00:00", "UTC", "2028-02-29T12:00:00Z",
     "2028-02-29T00:00:00Z", "2028-03-31T00:00:00Z"},
    {"two months", "2M", "2026-01-01 00:00:00", "UTC", "2026-04-30T00:00:00Z",
     "2026-03-01T00:00:00Z", "2026-05-01T00:00:00Z"},
    {"a quarter over the end of summer time", "1Q", "2026-01-01 00:00:00", "Europe/Zurich",
     "2026-11-23T00:00:00Z", "2026-09-30T22:00:00Z", "2026-12-31T23:00:00Z"},
    {"a year from a leap day", "1Y", "2024-02-29 00:00:00", "UTC", "2026-01-01T00:00:00Z",
     "2025-02-28T00:00:00Z", "2026-02-28T00:00:00Z"},
    {"a day of 25 hours", "1d", "2026-01-01 00:00:00", "America/New_York", "2026-11-01T12:00:00Z",
     "2026-11-01T04:00:00Z", "2026-11-02T05:00:00Z"},
    {"a day of 23 hours", "1d", "2026-01-01 00:00:00", "America/New_York", "2026-03-08T12:00:00Z",
     "2026-03-08T05:00:00Z", "2026-03-09T04:00:00Z"},
    {"a local time that is skipped", "1d", "2026-01-01 02:30:00", "America/New_York",
     "2026-03-08T08:00:00Z", "2026-03-08T07:30:00Z", "2026-03-09T06:30:00Z"},
    {"one that comes twice", "1d", "2026-01-01 01:30:00", "America/New_York",
     "2026-11-01T06:00:00Z", "2026-11-01T05:30:00Z", "2026-11-02T06:30:00Z"},
    {"a week from Saturday noon", "1w", "2022-01-01 12:00:00", "America/New_York",
     "2026-11-23T00:52:00Z", "2026-11-21T17:00:00Z", "2026-11-28T17:00:00Z"},
    {"hours pass whatever the clocks say", "6h", "2026-03-08 00:00:00", "America/New_York",
     "2026-03-08T12:00:00Z", "2026-03-08T11:00:00Z", "2026-03-08T17:00:00Z"},
    {"minutes", "10m", "1970-01-01 00:00:00", "UTC", "2026-11-23T00:52:00Z", "2026-11-23T00:50:00Z",
     "2026-11-23T01:00:00Z"},
    {"before the start that was given", "1M", "2030-01-15 00:00:00", "UTC", "2026-11-23T00:00:00Z",
     "2026-11-15T00:00:00Z", "2026-12-15T00:00:00Z"},
};

TEST(Calendar, PeriodsAreWhatACalendarSays) {
  for (const PeriodCase& c : kPeriods) {
    const auto calendar = Calendar::Parse(c.window, c.anchor, c.zone);
    ASSERT_TRUE(calendar.ok()) << c.what << ": " << calendar.status().ToString();
    const Period period = calendar->At(Utc(c.now));
    EXPECT_EQ(base::FormatRfc3339(period.start), c.start) << c.what;
    EXPECT_EQ(base::FormatRfc3339(period.end), c.end) << c.what;
  }
}

TEST(Calendar, PeriodsHaveNoGapsAndDoNotOverlap) {
  for (const char* window : {"7h", "1d", "2w", "1M", "5M", "1Q", "3Y"}) {
    const auto calendar = Calendar::Parse(window, "2025-12-31 02:30:00", "Europe/Zurich");
    ASSERT_TRUE(calendar.ok());
    Period period = calendar->At(Utc("2019-06-01T00:00:00Z"));
    while (period.end < Utc("2033-01-01T00:00:00Z")) {
      EXPECT_LT(period.start, period.end);
      EXPECT_EQ(calendar->At(period.end - std::chrono::nanoseconds(1)), period) << window;
      const Period next = calendar->At(period.end);
      ASSERT_EQ(next.start, period.end) << window;
      period = next;
    }
  }
}

TEST(Calendar, ScalesByALengthThatIsTheSameForEveryPeriod) {
  const auto nominal = [](const char* window) {
    return Calendar::Parse(window, "2026-01-01 00:00:00", "UTC").value().nominal();
  };
  EXPECT_EQ(nominal("1M"), hours(24 * 30));
  EXPECT_EQ(nominal("1Q"), hours(24 * 90));
  EXPECT_EQ(nominal("1Y"), hours(24 * 360));
  EXPECT_EQ(nominal("2w"), hours(24 * 14));
  EXPECT_EQ(nominal("5Y"), hours(24 * 1800)) << "the longest";
}

TEST(Calendar, NamesWhatItCannotRead) {
  const auto told = [](const std::string& window, const std::string& start,
                       const std::string& zone) {
    return Calendar::Parse(window, start, zone).status().message();
  };
  const std::string start = "2026-01-01 00:00:00";
  for (const char* window :
       {"", "M", "1", "0M", "01M", "-1d", "1s", "1d12h", "1.5d", "99999999999M"}) {
    EXPECT_THAT(told(window, start, "UTC"), HasSubstr("window: ")) << window;
  }
  EXPECT_THAT(told("6Y", start, "UTC"), HasSubstr("longer than five years"));
  for (const char* wrong :
       {"", "2026-01-01", "2026-02-30 00:00:00", "2026-01-01 24:00:00", "2026-01-01 00:00:00Z",
        "2026-01-01T00:00:00", "1969-12-31 00:00:00", "2200-01-01 00:00:00"}) {
    EXPECT_THAT(told("1M", wrong, "UTC"), HasSubstr("calendar.startTime: ")) << wrong;
  }
  EXPECT_THAT(told("1M", start, "Mars/Base"), HasSubstr("calendar.timeZone: "));
}

}  // namespace
}  // namespace sluice::gates
