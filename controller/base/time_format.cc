#include "controller/base/time_format.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cstdint>

namespace sluice::base {
namespace {

using std::chrono::days;
using std::chrono::hours;
using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using std::chrono::weeks;

struct Civil {
  int year;
  unsigned month, day;
  std::int64_t hour, minute, second, micro;
};

Civil ToCivil(WallTime time) {
  const auto day = std::chrono::floor<days>(time);
  const std::chrono::year_month_day date(day);
  const auto rest = std::chrono::duration_cast<microseconds>(time - day).count();
  return {int(date.year()),     unsigned(date.month()), unsigned(date.day()),
          rest / 3'600'000'000, rest / 60'000'000 % 60, rest / 1'000'000 % 60,
          rest % 1'000'000};
}

// Reads exactly `count` digits; -1 if they are not there.
int Digits(std::string_view& text, std::size_t count) {
  if (text.size() < count) return -1;
  int value = 0;
  for (std::size_t i = 0; i < count; ++i) {
    if (text[i] < '0' || text[i] > '9') return -1;
    value = value * 10 + (text[i] - '0');
  }
  text.remove_prefix(count);
  return value;
}

bool Take(std::string_view& text, char c) {
  if (text.empty() || text.front() != c) return false;
  text.remove_prefix(1);
  return true;
}

StatusOr<Duration> ParseFraction(std::string_view& text) {
  std::int64_t nanos = 0;
  int digits = 0;
  while (!text.empty() && text.front() >= '0' && text.front() <= '9' && digits < 9) {
    nanos = nanos * 10 + (text.front() - '0');
    text.remove_prefix(1);
    ++digits;
  }
  if (digits == 0) return InvalidArgument("fraction without digits");
  for (; digits < 9; ++digits) nanos *= 10;
  return Duration(nanos);
}

StatusOr<Duration> ParseOffset(std::string_view& text) {
  if (Take(text, 'Z') || Take(text, 'z')) return Duration(0);
  const bool minus = !text.empty() && text.front() == '-';
  if (!Take(text, '+') && !Take(text, '-')) return InvalidArgument("no time zone");
  const int hour = Digits(text, 2);
  if (hour < 0 || hour > 23 || !Take(text, ':')) return InvalidArgument("bad time zone");
  const int minute = Digits(text, 2);
  if (minute < 0 || minute > 59) return InvalidArgument("bad time zone");
  const Duration offset = hours(hour) + minutes(minute);
  return minus ? -offset : offset;
}

struct Unit {
  std::string_view name;
  std::int64_t nanos;
};
constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::array<Unit, 7> kUnits = {{{"w", 604800 * kSecond},
                                         {"d", 86400 * kSecond},
                                         {"h", 3600 * kSecond},
                                         {"m", 60 * kSecond},
                                         {"s", kSecond},
                                         {"ms", 1'000'000},
                                         {"ns", 1}}};

}  // namespace

std::string FormatRfc3339(WallTime time) {
  const Civil c = ToCivil(time);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", c.year, c.month, c.day, c.hour,
                     c.minute, c.second);
}

std::string FormatRfc3339Micro(WallTime time) {
  const Civil c = ToCivil(time);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z", c.year, c.month, c.day, c.hour,
                     c.minute, c.second, c.micro);
}

StatusOr<WallTime> ParseRfc3339(std::string_view text) {
  const std::string whole(text.substr(0, 64));
  const auto bad = [&](std::string_view why) {
    return InvalidArgument(fmt::format("\"{}\" is not an RFC 3339 time: {}", whole, why));
  };
  const int year = Digits(text, 4);
  if (year < 0 || !Take(text, '-')) return bad("year");
  const int month = Digits(text, 2);
  if (month < 1 || month > 12 || !Take(text, '-')) return bad("month");
  const int day = Digits(text, 2);
  const std::chrono::year_month_day date{
      std::chrono::year(year), std::chrono::month(static_cast<unsigned>(month)),
      std::chrono::day(static_cast<unsigned>(day < 0 ? 0 : day))};
  if (!date.ok()) return bad("day");
  if (!Take(text, 'T') && !Take(text, 't')) return bad("no T between date and time");
  const int hour = Digits(text, 2);
  if (hour < 0 || hour > 23 || !Take(text, ':')) return bad("hour");
  const int minute = Digits(text, 2);
  if (minute < 0 || minute > 59 || !Take(text, ':')) return bad("minute");
  const int second = Digits(text, 2);
  if (second < 0 || second > 60) return bad("second");
  Duration fraction(0);
  if (Take(text, '.')) {
    auto parsed = ParseFraction(text);
    if (!parsed.ok()) return bad(parsed.status().message());
    fraction = *parsed;
  }
  const auto offset = ParseOffset(text);
  if (!offset.ok()) return bad(offset.status().message());
  if (!text.empty()) return bad("text after the time zone");
  // Nanoseconds hold the years 1678 to 2261, in UTC; seconds are kept until it is known to fit.
  const std::chrono::sys_seconds since = std::chrono::sys_days(date) + hours(hour) +
                                         minutes(minute) + seconds(second) -
                                         std::chrono::duration_cast<seconds>(*offset);
  constexpr auto kFirst = std::chrono::sys_days(std::chrono::year(1678) / 1 / 1);
  constexpr auto kEnd = std::chrono::sys_days(std::chrono::year(2262) / 1 / 1);
  if (since < kFirst || since >= kEnd) return bad("year out of range");
  return WallTime(std::chrono::duration_cast<WallTime::duration>(since.time_since_epoch()) +
                  std::chrono::duration_cast<WallTime::duration>(fraction));
}

StatusOr<Duration> ParseDuration(std::string_view text) {
  const auto bad = [&] {
    return InvalidArgument(fmt::format(
        "\"{}\" is not a duration: write numbers with w, d, h, m, s or ms, largest first, as in "
        "\"1h30m\"",
        text.substr(0, 64)));
  };
  if (text.empty()) return bad();
  std::string_view rest = text;
  std::int64_t total = 0;
  std::size_t next_unit = 0;
  while (!rest.empty()) {
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), number);
    if (error != std::errc() || number < 0) return bad();
    rest.remove_prefix(static_cast<std::size_t>(end - rest.data()));
    std::size_t length = 0;
    while (length < rest.size() && rest[length] >= 'a' && rest[length] <= 'z') ++length;
    const std::string_view name = rest.substr(0, length);
    std::size_t unit = next_unit;
    while (unit < kUnits.size() && kUnits[unit].name != name) ++unit;
    if (unit == kUnits.size()) return bad();
    std::int64_t part = 0;
    if (__builtin_mul_overflow(number, kUnits[unit].nanos, &part) ||
        __builtin_add_overflow(total, part, &total)) {
      return bad();
    }
    next_unit = unit + 1;
    rest.remove_prefix(length);
  }
  return Duration(total);
}

std::string FormatDuration(Duration duration) {
  std::int64_t rest = duration.count();
  if (rest == 0) return "0s";
  std::string out = rest < 0 ? "-" : "";
  rest = rest < 0 ? -rest : rest;
  for (const Unit& unit : kUnits) {
    if (unit.name == "w") continue;  // people count days, not weeks
    if (rest >= unit.nanos) out += fmt::format("{}{}", rest / unit.nanos, unit.name);
    rest %= unit.nanos;
  }
  return out;
}

std::string HumanDuration(Duration duration) {
  const std::int64_t total = std::chrono::duration_cast<seconds>(duration).count();
  const std::int64_t rest = total < 0 ? -total : total;
  const std::string sign = total < 0 ? "-" : "";
  const auto two = [&](std::int64_t large, const char* unit, std::int64_t small,
                       const char* smaller) {
    return small == 0 ? fmt::format("{}{} {}", sign, large, unit)
                      : fmt::format("{}{} {} {} {}", sign, large, unit, small, smaller);
  };
  if (rest >= 86400) return two(rest / 86400, "d", rest % 86400 / 3600, "h");
  if (rest >= 3600) return two(rest / 3600, "h", rest % 3600 / 60, "m");
  if (rest >= 60) return two(rest / 60, "m", rest % 60, "s");
  return fmt::format("{}{} s", sign, rest);
}

}  // namespace sluice::base
