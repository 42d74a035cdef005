#include "reconcilers/gates/recurrence.h"

#include <absl/time/civil_time.h>
#include <absl/time/time.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <string_view>

#include "controller/base/time_format.h"
#include "reconcilers/gates/limits.h"

namespace sluice::gates {

// Parts of Schedule::Rule, and so with names outside of this file, as it has.
enum class Frequency { kDaily, kWeekly, kMonthly, kYearly };
struct Weekday {
  int ordinal = 0;   // 0: every one; 2: the second; -1: the last
  unsigned day = 0;  // 0 is Sunday
};

namespace {

using base::InvalidArgument;
using base::WallTime;
using std::chrono::days;
using std::chrono::sys_days;
using std::chrono::year_month_day;

constexpr std::array<std::string_view, 4> kFrequencies = {"DAILY", "WEEKLY", "MONTHLY", "YEARLY"};
constexpr std::array<std::string_view, 7> kDays = {"SU", "MO", "TU", "WE", "TH", "FR", "SA"};

std::optional<int> Int(std::string_view text) {
  if (!text.empty() && text.front() == '+') text.remove_prefix(1);
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::vector<std::string_view> Split(std::string_view text, char by) {
  std::vector<std::string_view> out;
  while (true) {
    const auto at = text.find(by);
    out.push_back(text.substr(0, at));
    if (at == std::string_view::npos) return out;
    text.remove_prefix(at + 1);
  }
}

base::StatusOr<std::vector<int>> Numbers(std::string_view part, std::string_view text, int most) {
  std::vector<int> out;
  for (const std::string_view item : Split(text, ',')) {
    const auto number = Int(item);
    if (!number || *number == 0 || *number > most || *number < -most) {
      return InvalidArgument(
          fmt::format("rrule: {}={}: not a number from 1 to {}", part, item, most));
    }
    out.push_back(*number);
  }
  return out;
}

base::StatusOr<unsigned> DayOf(std::string_view name) {
  const auto found = std::find(kDays.begin(), kDays.end(), name);
  if (found == kDays.end()) return InvalidArgument(fmt::format("rrule: no weekday {}", name));
  return static_cast<unsigned>(found - kDays.begin());
}

base::StatusOr<std::vector<Weekday>> Weekdays(std::string_view text) {
  std::vector<Weekday> out;
  for (const std::string_view item : Split(text, ',')) {
    if (item.size() < 2) return InvalidArgument(fmt::format("rrule: no weekday {}", item));
    Weekday day;
    SLUICE_ASSIGN_OR_RETURN(day.day, DayOf(item.substr(item.size() - 2)));
    if (item.size() > 2) {
      const auto ordinal = Int(item.substr(0, item.size() - 2));
      if (!ordinal || *ordinal == 0 || *ordinal > 53 || *ordinal < -53) {
        return InvalidArgument(fmt::format("rrule: BYDAY={}: not an ordinal and a weekday", item));
      }
      day.ordinal = *ordinal;
    }
    out.push_back(day);
  }
  return out;
}

// "2026-12-04T18:00:00", or with `basic` "20261204T180000".
std::optional<absl::CivilSecond> ParseCivil(const std::string& text, bool basic) {
  int y = 0, mo = 0, d = 0, h = 0, mi = 0, s = 0, used = 0;
  const char* format = basic ? "%4d%2d%2dT%2d%2d%2d%n" : "%4d-%2d-%2dT%2d:%2d:%2d%n";
  if (std::sscanf(text.c_str(), format, &y, &mo, &d, &h, &mi, &s, &used) != 6 ||
      static_cast<std::size_t>(used) != text.size()) {
    return std::nullopt;
  }
  const absl::CivilSecond out(y, mo, d, h, mi, s);
  const bool as_written = out.year() == y && out.month() == mo && out.day() == d &&
                          out.hour() == h && out.minute() == mi && out.second() == s;
  return as_written && y >= 1970 && y < 2200 ? std::optional(out) : std::nullopt;
}

sys_days DayOf(const absl::CivilSecond& civil) {
  return sys_days(year_month_day(std::chrono::year(static_cast<int>(civil.year())),
                                 std::chrono::month(static_cast<unsigned>(civil.month())),
                                 std::chrono::day(static_cast<unsigned>(civil.day()))));
}

unsigned WeekdayOf(sys_days day) { return std::chrono::weekday(day).c_encoding(); }

bool Has(const std::vector<int>& list, int value, int length) {
  return std::any_of(list.begin(), list.end(),
                     [&](int n) { return n == value || (n < 0 && length + 1 + n == value); });
}

// Whether `day` is one of `wanted`, ordinals counted from `first` to `last`.
bool IsAmong(const std::vector<Weekday>& wanted, sys_days day, sys_days first, sys_days last) {
  return std::any_of(wanted.begin(), wanted.end(), [&](const Weekday& w) {
    if (WeekdayOf(day) != w.day) return false;
    if (w.ordinal == 0) return true;
    const auto from_first = (day - first).count() / 7 + 1;
    const auto from_last = (last - day).count() / 7 + 1;
    return w.ordinal > 0 ? from_first == w.ordinal : from_last == -w.ordinal;
  });
}

}  // namespace

struct Schedule::Rule {
  Frequency frequency = Frequency::kDaily;
  int interval = 1;
  std::optional<int> count;
  std::optional<WallTime> until;
  unsigned week_start = 1;
  std::vector<int> months, month_days;
  std::vector<Weekday> weekdays;
  absl::CivilSecond start;
  absl::TimeZone zone;

  base::Status Parse(const std::string& text);
  base::Status Take(std::string_view name, std::string_view value);
  bool Falls(sys_days day) const;
  WallTime InstantOf(sys_days day) const;
};

namespace {

WallTime Instant(const absl::CivilSecond& civil, const absl::TimeZone& zone) {
  return absl::ToChronoTime(zone.At(civil).pre);
}

}  // namespace

base::Status Schedule::Rule::Take(std::string_view name, std::string_view value) {
  const std::string text(value);
  if (name == "FREQ") {
    const auto found = std::find(kFrequencies.begin(), kFrequencies.end(), value);
    if (found == kFrequencies.end()) {
      return InvalidArgument(
          fmt::format("rrule: FREQ={}: one of DAILY, WEEKLY, MONTHLY, YEARLY", value));
    }
    frequency = static_cast<Frequency>(found - kFrequencies.begin());
  } else if (name == "INTERVAL" || name == "COUNT") {
    const auto number = Int(value);
    if (!number || *number < 1 || *number > 1000) {
      return InvalidArgument(fmt::format("rrule: {}={}: not a number from 1 to 1000", name, value));
    }
    if (name == "COUNT") {
      count = *number;
    } else {
      interval = *number;
    }
  } else if (name == "UNTIL") {
    const bool utc = !text.empty() && text.back() == 'Z';
    const auto civil = ParseCivil(
        text.size() == 8 ? text + "T235959" : text.substr(0, text.size() - (utc ? 1 : 0)), true);
    if (!civil) return InvalidArgument(fmt::format("rrule: UNTIL={}: not a time", value));
    until = Instant(*civil, utc ? absl::UTCTimeZone() : zone);
  } else if (name == "WKST") {
    SLUICE_ASSIGN_OR_RETURN(week_start, DayOf(value));
  } else if (name == "BYMONTH") {
    SLUICE_ASSIGN_OR_RETURN(months, Numbers(name, value, 12));
  } else if (name == "BYMONTHDAY") {
    SLUICE_ASSIGN_OR_RETURN(month_days, Numbers(name, value, 31));
  } else if (name == "BYDAY") {
    SLUICE_ASSIGN_OR_RETURN(weekdays, Weekdays(value));
  } else {
    return InvalidArgument(fmt::format("rrule: {} is not supported", name));
  }
  return base::OkStatus();
}

base::Status Schedule::Rule::Parse(const std::string& text) {
  std::vector<std::string_view> seen;
  for (const std::string_view part : Split(text, ';')) {
    const auto equals = part.find('=');
    if (equals == std::string_view::npos) {
      return InvalidArgument(fmt::format("rrule: {}: not NAME=VALUE", part));
    }
    const std::string_view name = part.substr(0, equals);
    if (std::find(seen.begin(), seen.end(), name) != seen.end()) {
      return InvalidArgument(fmt::format("rrule: {} is given twice", name));
    }
    seen.push_back(name);
    SLUICE_RETURN_IF_ERROR(Take(name, part.substr(equals + 1)));
  }
  if (seen.empty() || seen.front() != "FREQ") return InvalidArgument("rrule: FREQ comes first");
  if (count && until) return InvalidArgument("rrule: COUNT and UNTIL exclude each other");
  if (frequency == Frequency::kWeekly && !month_days.empty()) {
    return InvalidArgument("rrule: BYMONTHDAY has no meaning in a week");
  }
  const bool ordinals = std::any_of(weekdays.begin(), weekdays.end(),
                                    [](const Weekday& w) { return w.ordinal != 0; });
  if (ordinals && frequency != Frequency::kMonthly && frequency != Frequency::kYearly) {
    return InvalidArgument("rrule: BYDAY with an ordinal needs FREQ MONTHLY or YEARLY");
  }
  return base::OkStatus();
}

bool Schedule::Rule::Falls(sys_days day) const {
  using namespace std::chrono;
  const sys_days first = DayOf(start);
  if (day < first) return false;
  const year_month_day date(day), begin(first);
  const sys_days month_first(date.year() / date.month() / 1);
  const sys_days month_last(date.year() / date.month() / last);
  const int month_length = static_cast<int>(unsigned{year_month_day(month_last).day()});
  const int month_day = static_cast<int>(unsigned{date.day()});
  const int start_day = static_cast<int>(unsigned{begin.day()});
  if (!months.empty() && !Has(months, static_cast<int>(unsigned{date.month()}), 12)) return false;
  if (!month_days.empty() && !Has(month_days, month_day, month_length)) return false;
  switch (frequency) {
    case Frequency::kDaily:
      return (day - first).count() % interval == 0 &&
             (weekdays.empty() || IsAmong(weekdays, day, month_first, month_last));
    case Frequency::kWeekly: {
      const auto week = [&](sys_days d) { return d - days((WeekdayOf(d) + 7 - week_start) % 7); };
      if ((week(day) - week(first)).count() / 7 % interval != 0) return false;
      return weekdays.empty() ? WeekdayOf(day) == WeekdayOf(first)
                              : IsAmong(weekdays, day, month_first, month_last);
    }
    case Frequency::kMonthly: {
      const auto between = (date.year() / date.month()) - (begin.year() / begin.month());
      if (between.count() % interval != 0) return false;
      if (!weekdays.empty()) return IsAmong(weekdays, day, month_first, month_last);
      return !month_days.empty() || month_day == start_day;
    }
    case Frequency::kYearly: {
      if ((date.year() - begin.year()).count() % interval != 0) return false;
      if (!weekdays.empty()) {
        const bool by_month = !months.empty() || !month_days.empty();
        return IsAmong(weekdays, day, by_month ? month_first : sys_days(date.year() / 1 / 1),
                       by_month ? month_last : sys_days(date.year() / 12 / 31));
      }
      if (!month_days.empty()) return true;
      return month_day == start_day && (!months.empty() || date.month() == begin.month());
    }
  }
  return false;
}

WallTime Schedule::Rule::InstantOf(sys_days day) const {
  const year_month_day date(day);
  return Instant(absl::CivilSecond(int{date.year()}, static_cast<int>(unsigned{date.month()}),
                                   static_cast<int>(unsigned{date.day()}), start.hour(),
                                   start.minute(), start.second()),
                 zone);
}

base::StatusOr<Schedule> Schedule::Once(WallTime from, WallTime to) {
  if (to <= from) return InvalidArgument("once.to: must be later than from");
  Schedule out;
  out.from_ = from;
  out.to_ = to;
  return out;
}

base::StatusOr<Schedule> Schedule::Recurring(const std::string& rrule, const std::string& start,
                                             base::Duration duration,
                                             const std::string& time_zone) {
  auto rule = std::make_shared<Rule>();
  if (!absl::LoadTimeZone(time_zone, &rule->zone)) {
    return InvalidArgument(fmt::format("recurring.timeZone: there is no time zone {}", time_zone));
  }
  const auto civil = ParseCivil(start, false);
  if (!civil) return InvalidArgument(fmt::format("recurring.start: {} is not a time", start));
  rule->start = *civil;
  SLUICE_RETURN_IF_ERROR(rule->Parse(rrule).Annotate("recurring"));
  if (duration.count() <= 0 || duration > kLongestFreeze) {
    return InvalidArgument("recurring.duration: more than nothing and at most 366d");
  }
  Schedule out;
  out.rule_ = std::move(rule);
  out.duration_ = duration;
  return out;
}

std::vector<WallTime> Schedule::Starts(WallTime from, WallTime to, std::size_t limit) const {
  std::vector<WallTime> out;
  if (rule_ == nullptr) {
    if (from_ >= from && from_ < to && limit > 0) out.push_back(from_);
    return out;
  }
  // A count is counted from the start; without one, the day before `from` is early enough for any
  // time zone.
  const sys_days first = DayOf(rule_->start);
  sys_days day = std::max(first, std::chrono::floor<days>(from) - days(2));
  if (rule_->count) day = first;
  int seen = 0;
  for (; day <= std::chrono::floor<days>(to) + days(2) && out.size() < limit; day += days(1)) {
    if (!rule_->Falls(day)) continue;
    if (rule_->count && ++seen > *rule_->count) break;
    const WallTime at = rule_->InstantOf(day);
    if (rule_->until && at > *rule_->until) break;
    if (at >= from && at < to) out.push_back(at);
  }
  return out;
}

Schedule::State Schedule::At(WallTime now) const {
  State state;
  if (rule_ == nullptr) {
    state.closed = now >= from_ && now < to_;
    state.reopens_at = to_;
    if (now < from_) state.closes_at = from_;
    return state;
  }
  const auto length = std::chrono::duration_cast<WallTime::duration>(duration_);
  // Every window that may be closed now, and the ones after it as far as they overlap.
  for (const WallTime start : Starts(now - length, now + kScheduleHorizon, kMaxWindows)) {
    if (start + length <= now) continue;
    if (!state.closed && start > now) {
      state.closes_at = start;
      return state;
    }
    if (state.closed && start > state.reopens_at) return state;
    state.closed = true;
    state.reopens_at = std::max(state.reopens_at, start + length);
  }
  return state;
}

}  // namespace sluice::gates
