#include "reconcilers/gates/recurrence.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "controller/base/time_format.h"

namespace sluice::gates {
namespace {

using std::chrono::hours;
using std::chrono::seconds;
using ::testing::ElementsAreArray;
using ::testing::HasSubstr;

base::WallTime At(const std::string& text) { return base::ParseRfc3339(text).value(); }

Schedule Make(const std::string& rrule, const std::string& start, base::Duration duration,
              const std::string& zone = "UTC") {
  auto schedule = Schedule::Recurring(rrule, start, duration, zone);
  EXPECT_TRUE(schedule.ok()) << schedule.status().ToString();
  return *schedule;
}

struct Case {
  const char* what;
  const char* rrule;
  const char* start;
  const char* zone;
  const char* from;
  const char* to;
  std::vector<std::string> starts;
};

class Recurrence : public ::testing::TestWithParam<Case> {};

TEST_P(Recurrence, StartsWhenTheRuleSays) {
  const Case& c = GetParam();
  std::vector<std::string> found;
  for (const auto start :
       Make(c.rrule, c.start, hours(1), c.zone).Starts(At(c.from), At(c.to), 50)) {
    found.push_back(base::FormatRfc3339(start));
  }
  EXPECT_THAT(found, ElementsAreArray(c.starts)) << c.what;
}

const Case kCases[] = {
    {"every friday at six",
     "FREQ=WEEKLY;BYDAY=FR",
     "2026-12-04T18:00:00",
     "UTC",
     "2026-12-01T00:00:00Z",
     "2026-12-20T00:00:00Z",
     {"2026-12-04T18:00:00Z", "2026-12-11T18:00:00Z", "2026-12-18T18:00:00Z"}},
    {"every second week on two days, weeks beginning on Monday",
     "FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,SU",
     "2026-12-07T00:00:00",
     "UTC",
     "2026-12-01T00:00:00Z",
     "2026-12-31T00:00:00Z",
     {"2026-12-07T00:00:00Z", "2026-12-13T00:00:00Z", "2026-12-21T00:00:00Z",
      "2026-12-27T00:00:00Z"}},
    {"the same with weeks beginning on Sunday",
     "FREQ=WEEKLY;INTERVAL=2;WKST=SU;BYDAY=MO,SU",
     "2026-12-07T00:00:00",
     "UTC",
     "2026-12-01T00:00:00Z",
     "2026-12-31T00:00:00Z",
     {"2026-12-07T00:00:00Z", "2026-12-20T00:00:00Z", "2026-12-21T00:00:00Z"}},
    {"the last day of each month",
     "FREQ=MONTHLY;BYMONTHDAY=-1",
     "2028-01-31T00:00:00",
     "UTC",
     "2028-01-01T00:00:00Z",
     "2028-05-01T00:00:00Z",
     {"2028-01-31T00:00:00Z", "2028-02-29T00:00:00Z", "2028-03-31T00:00:00Z",
      "2028-04-30T00:00:00Z"}},
    {"a 31st is skipped where there is none",
     "FREQ=MONTHLY",
     "2026-01-31T00:00:00",
     "UTC",
     "2026-01-01T00:00:00Z",
     "2026-06-01T00:00:00Z",
     {"2026-01-31T00:00:00Z", "2026-03-31T00:00:00Z", "2026-05-31T00:00:00Z"}},
    {"the second Tuesday",
     "FREQ=MONTHLY;BYDAY=2TU",
     "2026-01-01T03:00:00",
     "UTC",
     "2026-01-01T00:00:00Z",
     "2026-04-01T00:00:00Z",
     {"2026-01-13T03:00:00Z", "2026-02-10T03:00:00Z", "2026-03-10T03:00:00Z"}},
    {"the last Friday of a quarter's last month",
     "FREQ=YEARLY;BYMONTH=3,6,9,12;BYDAY=-1FR",
     "2026-01-01T00:00:00",
     "UTC",
     "2026-01-01T00:00:00Z",
     "2027-01-01T00:00:00Z",
     {"2026-03-27T00:00:00Z", "2026-06-26T00:00:00Z", "2026-09-25T00:00:00Z",
      "2026-12-25T00:00:00Z"}},
    {"a leap day comes in leap years only, 2100 is none",
     "FREQ=YEARLY",
     "2092-02-29T00:00:00",
     "UTC",
     "2092-01-01T00:00:00Z",
     "2110-01-01T00:00:00Z",
     {"2092-02-29T00:00:00Z", "2096-02-29T00:00:00Z", "2104-02-29T00:00:00Z",
      "2108-02-29T00:00:00Z"}},
    {"a count ends it, counted from the start",
     "FREQ=DAILY;COUNT=3",
     "2026-12-01T00:00:00",
     "UTC",
     "2026-12-02T00:00:00Z",
     "2026-12-31T00:00:00Z",
     {"2026-12-02T00:00:00Z", "2026-12-03T00:00:00Z"}},
    {"until ends it, that instant included",
     "FREQ=DAILY;INTERVAL=2;UNTIL=20261205T000000Z",
     "2026-12-01T00:00:00",
     "UTC",
     "2026-12-01T00:00:00Z",
     "2026-12-31T00:00:00Z",
     {"2026-12-01T00:00:00Z", "2026-12-03T00:00:00Z", "2026-12-05T00:00:00Z"}},
    {"local time keeps its hour when the clocks change",
     "FREQ=WEEKLY;BYDAY=SA",
     "2026-10-24T22:00:00",
     "Europe/Berlin",
     "2026-10-01T00:00:00Z",
     "2026-11-02T00:00:00Z",
     {"2026-10-24T20:00:00Z", "2026-10-31T21:00:00Z"}},
    {"a time the clocks skip is taken with the offset before",
     "FREQ=DAILY",
     "2026-03-28T02:30:00",
     "Europe/Berlin",
     "2026-03-28T00:00:00Z",
     "2026-03-31T00:00:00Z",
     {"2026-03-28T01:30:00Z", "2026-03-29T01:30:00Z", "2026-03-30T00:30:00Z"}},
    {"a time that comes twice is the first of the two",
     "FREQ=DAILY",
     "2026-10-25T02:30:00",
     "Europe/Berlin",
     "2026-10-24T00:00:00Z",
     "2026-10-27T00:00:00Z",
     {"2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"}},
    {"a zone without daylight saving",
     "FREQ=DAILY;COUNT=1",
     "2026-07-01T00:00:00",
     "America/Phoenix",
     "2026-06-01T00:00:00Z",
     "2026-08-01T00:00:00Z",
     {"2026-07-01T07:00:00Z"}},
};
INSTANTIATE_TEST_SUITE_P(Table, Recurrence, ::testing::ValuesIn(kCases));

TEST(Schedule, IsClosedFromItsFirstInstantAndOpenAtItsLast) {
  const Schedule weekly = Make("FREQ=WEEKLY;BYDAY=FR", "2026-12-04T18:00:00", hours(60));
  const auto start = At("2026-12-04T18:00:00Z");
  EXPECT_FALSE(weekly.At(start - seconds(1)).closed);
  EXPECT_EQ(weekly.At(start - seconds(1)).closes_at, start);
  EXPECT_TRUE(weekly.At(start).closed);
  EXPECT_EQ(weekly.At(start).reopens_at, start + hours(60));
  EXPECT_TRUE(weekly.At(start + hours(60) - seconds(1)).closed);
  EXPECT_FALSE(weekly.At(start + hours(60)).closed);
  const auto once = Schedule::Once(start, start + hours(1)).value();
  EXPECT_TRUE(once.At(start).closed);
  EXPECT_FALSE(once.At(start + hours(1)).closed);
  EXPECT_FALSE(once.At(start + hours(1)).closes_at.has_value());
}

TEST(Schedule, WindowsThatOverlapReopenTogether) {
  const Schedule days = Make("FREQ=DAILY;COUNT=3", "2026-12-01T00:00:00", hours(30));
  EXPECT_EQ(days.At(At("2026-12-01T12:00:00Z")).reopens_at, At("2026-12-04T06:00:00Z"));
  const Schedule touching = Make("FREQ=DAILY;COUNT=2", "2026-12-01T00:00:00", hours(24));
  EXPECT_EQ(touching.At(At("2026-12-01T12:00:00Z")).reopens_at, At("2026-12-03T00:00:00Z"));
}

TEST(Schedule, ADurationIsTimeThatPassesWhenTheClocksChange) {
  const Schedule night = Make("FREQ=DAILY", "2026-10-24T22:00:00", hours(8), "Europe/Berlin");
  const auto state = night.At(At("2026-10-24T20:00:00Z"));
  EXPECT_TRUE(state.closed);
  EXPECT_EQ(base::FormatRfc3339(state.reopens_at), "2026-10-25T04:00:00Z") << "05:00 in Berlin";
}

TEST(Schedule, WhatItCannotReadIsRefusedByName) {
  const auto wrong = [](const std::string& rrule, const std::string& start = "2026-12-01T00:00:00",
                        const std::string& zone = "UTC", base::Duration duration = hours(1)) {
    return Schedule::Recurring(rrule, start, duration, zone).status().message();
  };
  EXPECT_THAT(wrong("FREQ=HOURLY"), HasSubstr("FREQ=HOURLY"));
  EXPECT_THAT(wrong("FREQ=DAILY;BYSETPOS=1"), HasSubstr("BYSETPOS is not supported"));
  EXPECT_THAT(wrong("FREQ=DAILY;FREQ=DAILY"), HasSubstr("given twice"));
  EXPECT_THAT(wrong("INTERVAL=2"), HasSubstr("FREQ comes first"));
  EXPECT_THAT(wrong("FREQ=DAILY;COUNT=1;UNTIL=20270101"), HasSubstr("exclude each other"));
  EXPECT_THAT(wrong("FREQ=WEEKLY;BYDAY=2FR"), HasSubstr("ordinal"));
  EXPECT_THAT(wrong("FREQ=WEEKLY;BYMONTHDAY=1"), HasSubstr("BYMONTHDAY"));
  EXPECT_THAT(wrong("FREQ=DAILY;INTERVAL=0"), HasSubstr("INTERVAL=0"));
  EXPECT_THAT(wrong("FREQ=MONTHLY;BYDAY=XX"), HasSubstr("no weekday XX"));
  EXPECT_THAT(wrong("FREQ=DAILY;UNTIL=soon"), HasSubstr("UNTIL=soon"));
  EXPECT_THAT(wrong("FREQ=DAILY", "2026-02-30T00:00:00"), HasSubstr("2026-02-30"));
  EXPECT_THAT(wrong("FREQ=DAILY", "2026-02-03T00:00:00", "Mars/Base"), HasSubstr("Mars/Base"));
  EXPECT_THAT(wrong("FREQ=DAILY", "2026-02-03T00:00:00", "UTC", hours(0)), HasSubstr("duration"));
  EXPECT_FALSE(Schedule::Once(At("2026-12-01T00:00:00Z"), At("2026-12-01T00:00:00Z")).ok());
}

}  // namespace
}  // namespace sluice::gates
