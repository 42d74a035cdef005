#include "reconcilers/gates/calendar.h"

#include <absl/time/civil_time.h>
#include <absl/time/time.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <string_view>

#include "reconcilers/gates/limits.h"

namespace sluice::gates {

// A part of Calendar::Rule, and so with a name outside of this file, as it has.
struct CalendarUnit {
  char name;
  int months;            // zero: a number of seconds
  bool local;            // counted on the clock of the time zone
  std::int64_t seconds;  // of one, for scaling where it has months
};

namespace {

using base::Duration;
using base::InvalidArgument;
using base::WallTime;

constexpr std::int64_t kDaySeconds = 86'400;
constexpr std::array<CalendarUnit, 7> kUnits = {{{'m', 0, false, 60},
                                                 {'h', 0, false, 3600},
                                                 {'d', 0, true, kDaySeconds},
                                                 {'w', 0, true, 7 * kDaySeconds},
                                                 {'M', 1, true, 30 * kDaySeconds},
                                                 {'Q', 3, true, 90 * kDaySeconds},
                                                 {'Y', 12, true, 360 * kDaySeconds}}};

}  // namespace

struct Calendar::Rule {
  int count = 1;
  CalendarUnit unit{};
  absl::CivilSecond start;
  absl::TimeZone zone;

  WallTime StartOf(std::int64_t number) const {
    const std::int64_t units = number * count;
    if (!unit.local) return Instant(start) + std::chrono::seconds(units * unit.seconds);
    if (unit.months == 0) return Instant(start + units * unit.seconds);
    const absl::CivilMonth month = absl::CivilMonth(start) + units * unit.months;
    const absl::CivilDay last = absl::CivilDay(month + 1) - 1;
    return Instant(absl::CivilSecond(month.year(), month.month(), std::min(start.day(), last.day()),
                                     start.hour(), start.minute(), start.second()));
  }

  WallTime Instant(const absl::CivilSecond& civil) const {
    return absl::ToChronoTime(zone.At(civil).pre);
  }
};

base::StatusOr<Calendar> Calendar::Parse(const std::string& window, const std::string& start,
                                         const std::string& time_zone) {
  auto rule = std::make_shared<Rule>();
  const auto unit = std::find_if(kUnits.begin(), kUnits.end(), [&](const CalendarUnit& u) {
    return !window.empty() && u.name == window.back();
  });
  (void)std::from_chars(window.data(), window.data() + window.size(), rule->count);
  // What could not be read as a number leaves another text than was given.
  if (unit == kUnits.end() || rule->count < 1 ||
      fmt::format("{}{}", rule->count, unit->name) != window) {
    return InvalidArgument(fmt::format(
        "window: {}: a calendar's is a number and one of m, h, d, w, M, Q and Y", window));
  }
  rule->unit = *unit;
  if (rule->count > kLongestPeriod / std::chrono::seconds(unit->seconds)) {
    return InvalidArgument(fmt::format("window: {}: longer than five years", window));
  }
  std::string text = start;
  std::replace(text.begin(), text.end(), ' ', 'T');
  (void)absl::ParseCivilTime(text, &rule->start);
  // What could not be read, or is no date as the 30th of February, comes back different.
  std::string again = absl::FormatCivilTime(rule->start);
  std::replace(again.begin(), again.end(), 'T', ' ');
  if (again != start || rule->start.year() < 1970 || rule->start.year() >= 2200) {
    return InvalidArgument(
        fmt::format("calendar.startTime: {}: not a time like 2026-01-01 00:00:00", start));
  }
  if (!absl::LoadTimeZone(time_zone, &rule->zone)) {
    return InvalidArgument(fmt::format("calendar.timeZone: there is no time zone {}", time_zone));
  }
  Calendar out;
  out.rule_ = std::move(rule);
  return out;
}

Period Calendar::At(WallTime now) const {
  std::int64_t number = (now - rule_->StartOf(0)) / nominal();
  while (rule_->StartOf(number) > now) --number;
  while (rule_->StartOf(number + 1) <= now) ++number;
  return {rule_->StartOf(number), rule_->StartOf(number + 1)};
}

Duration Calendar::nominal() const {
  return std::chrono::seconds(rule_->count * rule_->unit.seconds);
}

}  // namespace sluice::gates
