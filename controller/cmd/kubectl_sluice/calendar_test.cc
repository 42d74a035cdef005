#include "controller/cmd/kubectl_sluice/calendar.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "controller/base/time_format.h"
#include "controller/cmd/kubectl_sluice/agenda.h"
#include "controller/cmd/kubectl_sluice/options.h"
#include "controller/testing/status_matchers.h"

namespace sluice::kubectl {
namespace {

using std::chrono::hours;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing_kit::HasError;

base::WallTime At(const char* time) { return base::ParseRfc3339(time).value(); }

std::vector<std::string> NextStarts(const char* now) {
  std::vector<std::string> out;
  const auto calendar = ReadCalendar(DefaultCalendar());
  for (const PlannedMeeting& meeting : calendar.value()) {
    const auto starts = meeting.when.Starts(At(now), At(now) + hours(24 * 366), 1);
    out.push_back(meeting.name + " " + (starts.empty() ? "" : base::FormatRfc3339(starts[0])));
  }
  return out;
}

TEST(Calendar, TheDefaultHasEveryReviewOnADayOfItsOwn) {
  EXPECT_THAT(
      NextStarts("2026-11-23T00:00:00Z"),
      ElementsAre("weekly triage 2026-11-23T10:00:00Z", "design review 2026-11-24T10:00:00Z",
                  "release readiness 2026-11-25T10:00:00Z", "decision council 2026-11-26T10:00:00Z",
                  "monthly review 2026-12-04T10:00:00Z", "quarterly review 2027-01-08T10:00:00Z"));
}

TEST(Calendar, AMeetingMovesWithItsTimeZonesClocks) {
  const auto calendar = ReadCalendar(
      "meetings:\n- {name: triage, rrule: FREQ=WEEKLY;BYDAY=MO, start: '2026-01-05T09:00:00',"
      " timeZone: Europe/Berlin, topics: [budgets, budgets]}\n");
  ASSERT_TRUE(calendar.ok()) << calendar.status().ToString();
  const PlannedMeeting& meeting = calendar->front();
  EXPECT_EQ(meeting.ahead, hours(24 * 14));
  EXPECT_THAT(meeting.topics, ElementsAre(Topic::kBudgets));
  EXPECT_EQ(meeting.when.Starts(At("2026-03-23T00:00:00Z"), At("2026-04-01T00:00:00Z"), 9),
            (std::vector{At("2026-03-23T08:00:00Z"), At("2026-03-30T07:00:00Z")}));
}

TEST(Calendar, WhatIsWrongIsNamedWithItsMeetingAndField) {
  const auto with = [](const std::string& fields) {
    return "meetings:\n- {name: a, rrule: FREQ=DAILY, start: '2026-01-05T09:00:00', topics: "
           "[budgets]}\n- {" +
           fields + "}\n";
  };
  const std::string good = "rrule: FREQ=DAILY, start: '2026-01-05T09:00:00', topics: [budgets]";
  const std::pair<std::string, const char*> rows[] = {
      {"a: b", "one document with a list"},
      {"meetings: {}", "one document with a list"},
      {"meetings: []\nmore: 1", "one document with a list"},
      {with("name: b, topics: [budgets], start: '2026-01-05T09:00:00'"),
       "meetings[1]: rrule: is missing"},
      {with("name: b, who: me, " + good), "who: no such field"},
      {with("name: a, " + good), "\"a\" is there twice"},
      {with("name: b, rrule: FREQ=HOURLY, start: '2026-01-05T09:00:00', topics: [budgets]"),
       "meetings[1]"},
      {with("name: b, ahead: soon, " + good), "ahead: \"soon\" is not a duration"},
      {with("name: b, timeZone: Mars/Base, " + good), "Mars/Base"},
      {with("name: b, rrule: FREQ=DAILY, start: '2026-01-05T09:00:00'"), "topics: names none"},
      {with("name: b, rrule: FREQ=DAILY, start: '2026-01-05T09:00:00', topics: [lunch]"),
       "\"lunch\" is none of incidents, budgets"},
      {with("name: " + std::string(81, 'x') + ", " + good), "name: is too long"},
  };
  for (const auto& [text, told] : rows) {
    EXPECT_THAT(ReadCalendar(text), HasError(base::Code::kInvalidArgument, HasSubstr(told)))
        << text;
  }
  std::string many = "meetings:\n";
  for (int i = 0; i < 33; ++i) many += "- {name: n" + std::to_string(i) + ", " + good + "}\n";
  EXPECT_THAT(ReadCalendar(many), HasError(base::Code::kInvalidArgument, HasSubstr("32 meetings")));
}

TEST(Calendar, ItsMeetingsHaveItsTopicsAndItsTimes) {
  const auto calendar = ReadCalendar(
      "meetings:\n"
      "- {name: standup, rrule: FREQ=DAILY, start: '2026-01-05T09:00:00', duration: 30m,"
      " topics: [incidents, freezes]}\n"
      "- {name: last one, rrule: FREQ=DAILY;COUNT=1, start: '2026-01-05T09:00:00',"
      " topics: [budgets]}\n");
  ASSERT_TRUE(calendar.ok());
  const auto text = [&](const char* now) {
    return RenderAgenda(BuildAgenda({}, *calendar, std::nullopt, At(now)), At(now));
  };
  EXPECT_EQ(text("2026-11-23T06:00:00Z"),
            "standup, in 3 h (2026-11-23T09:00:00Z): nothing\nlast one: nothing\n");
  EXPECT_EQ(text("2026-11-23T09:10:00Z"), "standup, now: nothing\nlast one: nothing\n");
}

TEST(Options, OfACalendar) {
  EXPECT_EQ(ParseOptions({"agenda", "--calendar", "ours.yaml"})->calendar, "ours.yaml");
  EXPECT_TRUE(ParseOptions({"agenda", "--print-calendar"})->print_calendar);
  EXPECT_FALSE(ParseOptions({"agenda"})->within.has_value());
}

}  // namespace
}  // namespace sluice::kubectl
