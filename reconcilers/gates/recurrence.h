// When a window is closed: once, or by a recurrence rule in a time zone. The algorithm is RFC
// 5545's (section 3.3.10), day by day: FREQ DAILY, WEEKLY, MONTHLY or YEARLY with INTERVAL, COUNT,
// UNTIL, WKST, BYMONTH, BYMONTHDAY and BYDAY (ordinals where the frequency gives them a meaning);
// whatever else a rule says is refused by name.
//
// Days that do not exist in a month or a year are skipped (a 29 February closes in leap years
// only). A local time that the clocks skip is taken with the offset before the change, one that
// comes twice is the first of the two (RFC 5545, 3.3.5). A window's length is time that passes.
//
// Pure given the time zone's rules, which ParseSchedule reads once (tzdata). Values; any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "controller/base/clock.h"
#include "controller/base/status.h"

namespace sluice::gates {

class Schedule {
 public:
  // Frozen from `from` (included) to `to` (not included). Errors: InvalidArgument.
  static base::StatusOr<Schedule> Once(base::WallTime from, base::WallTime to);
  // Errors: InvalidArgument naming the part of the rule, the start, the duration or the time zone.
  static base::StatusOr<Schedule> Recurring(const std::string& rrule, const std::string& start,
                                            base::Duration duration, const std::string& time_zone);

  struct State {
    bool closed = false;
    // While closed: the end of this window and of those that overlap or touch it.
    base::WallTime reopens_at;
    // While open: when it closes next; nullopt: not within kScheduleHorizon.
    std::optional<base::WallTime> closes_at;
  };
  // A time at a boundary is past it: closed at the first instant, open again at the last.
  State At(base::WallTime now) const;

  // The starts of windows in [from, to), the first `limit` of them. For tests and previews.
  std::vector<base::WallTime> Starts(base::WallTime from, base::WallTime to,
                                     std::size_t limit) const;

 private:
  struct Rule;
  std::shared_ptr<const Rule> rule_;  // nullptr: once
  base::WallTime from_, to_;          // once
  base::Duration duration_{0};
};

}  // namespace sluice::gates
