// The periods of a calendar window: whole minutes, hours, days, weeks, months, quarters or years,
// counted from one start on the clock of a time zone. They have no gaps, and reach before that
// start as well as after it.
//
// A month without the start's day gives its last one: the 31st, then 28 February, then the 31st
// again. Minutes and hours are time that passes; a day is from one local time to the next, 23 to 25
// hours where the clocks change. A local time that they skip is taken with the offset before the
// change, one that comes twice is the first of the two (as recurrence.h has it).
//
// Pure given the time zone's rules, which Parse reads once (tzdata). Values; any thread.
#pragma once

#include <memory>
#include <string>

#include "controller/base/clock.h"
#include "controller/base/status.h"

namespace sluice::gates {

struct Period {
  base::WallTime start;  // belongs to it
  base::WallTime end;    // belongs to the next
  friend bool operator==(const Period&, const Period&) = default;
};

class Calendar {
 public:
  // `window` is a number and one of m, h, d, w, M, Q, Y ("1M"); `start` is "2026-01-31 00:00:00";
  // `time_zone` an IANA name. Errors: InvalidArgument naming the field as the kind has it.
  static base::StatusOr<Calendar> Parse(const std::string& window, const std::string& start,
                                        const std::string& time_zone);

  Period At(base::WallTime now) const;
  // A length to scale by, the same for every period: a month counts as 30 days.
  base::Duration nominal() const;

 private:
  Calendar() = default;
  struct Rule;
  std::shared_ptr<const Rule> rule_;  // never null
};

}  // namespace sluice::gates
