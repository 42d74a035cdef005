#include "datapath/http1/date.h"

#include <cstring>

namespace sluice::http1 {
namespace {

using std::chrono::sys_days;
constexpr std::string_view kDays = "SunMonTueWedThuFriSat";
constexpr std::string_view kMonths = "JanFebMarAprMayJunJulAugSepOctNovDec";

struct Fields {
  int year, month, day, hour, minute, second, weekday;
};

Fields Split(base::WallTime time) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(time);
  const auto days = std::chrono::floor<std::chrono::days>(seconds);
  const std::chrono::year_month_day date(days);
  const auto of_day = static_cast<int>((seconds - days).count());
  return {static_cast<int>(date.year()),
          static_cast<int>(static_cast<unsigned>(date.month())),
          static_cast<int>(static_cast<unsigned>(date.day())),
          of_day / 3600,
          of_day / 60 % 60,
          of_day % 60,
          static_cast<int>(std::chrono::weekday(days).c_encoding())};
}

char* Put2(char* at, int value) {
  at[0] = static_cast<char>('0' + value / 10 % 10);
  at[1] = static_cast<char>('0' + value % 10);
  return at + 2;
}

char* Put(char* at, std::string_view text) {
  std::memcpy(at, text.data(), text.size());
  return at + text.size();
}

// Reads fixed-width text from left to right; any mismatch sticks.
class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}
  int Number(std::size_t width) {
    int value = 0;
    for (std::size_t i = 0; i < width; ++i) {
      const char c = Next();
      if (c < '0' || c > '9') ok_ = false;
      value = value * 10 + (c - '0');
    }
    return ok_ ? value : 0;
  }
  int DayOfAsctime() {  // two columns, the first may be blank
    if (!text_.empty() && text_.front() == ' ') {
      text_.remove_prefix(1);
      return Number(1);
    }
    return Number(2);
  }
  int Month() {
    for (int i = 0; i < 12; ++i) {
      if (text_.substr(0, 3) == kMonths.substr(static_cast<std::size_t>(i) * 3, 3)) {
        text_.remove_prefix(3);
        return i + 1;
      }
    }
    ok_ = false;
    return 1;
  }
  void Expect(std::string_view literal) {
    if (text_.substr(0, literal.size()) != literal) {
      ok_ = false;
      return;
    }
    text_.remove_prefix(literal.size());
  }
  bool Finished() const { return ok_ && text_.empty(); }

 private:
  char Next() {
    if (text_.empty()) {
      ok_ = false;
      return '0';
    }
    const char c = text_.front();
    text_.remove_prefix(1);
    return c;
  }
  std::string_view text_;
  bool ok_ = true;
};

std::optional<base::WallTime> Join(const Fields& f) {
  const std::chrono::year_month_day date{std::chrono::year(f.year),
                                         std::chrono::month(static_cast<unsigned>(f.month)),
                                         std::chrono::day(static_cast<unsigned>(f.day))};
  if (!date.ok() || f.hour > 23 || f.minute > 59 || f.second > 60) return std::nullopt;
  if (f.year < 1970 || f.year > 2200) return std::nullopt;  // what WallTime can hold, and sense
  return base::WallTime(sys_days(date) + std::chrono::hours(f.hour) +
                        std::chrono::minutes(f.minute) + std::chrono::seconds(f.second));
}

void ReadTime(Reader* reader, Fields* f) {
  f->hour = reader->Number(2);
  reader->Expect(":");
  f->minute = reader->Number(2);
  reader->Expect(":");
  f->second = reader->Number(2);
}

}  // namespace

std::string_view FormatHttpDate(base::WallTime time, std::span<char, kHttpDateBytes> out) {
  const Fields f = Split(time);
  char* at = out.data();
  at = Put(at, kDays.substr(static_cast<std::size_t>(f.weekday) * 3, 3));
  at = Put(at, ", ");
  at = Put2(at, f.day);
  at = Put(at, " ");
  at = Put(at, kMonths.substr(static_cast<std::size_t>(f.month - 1) * 3, 3));
  at = Put(at, " ");
  at = Put2(at, f.year / 100);
  at = Put2(at, f.year % 100);
  at = Put(at, " ");
  at = Put2(at, f.hour);
  at = Put(at, ":");
  at = Put2(at, f.minute);
  at = Put(at, ":");
  at = Put2(at, f.second);
  Put(at, " GMT");
  return {out.data(), out.size()};
}

std::string_view FormatBasicDate(base::WallTime time, std::span<char, kBasicDateBytes> out) {
  const Fields f = Split(time);
  char* at = Put2(out.data(), f.year / 100);
  at = Put2(at, f.year % 100);
  at = Put2(at, f.month);
  at = Put2(at, f.day);
  at = Put(at, "T");
  at = Put2(at, f.hour);
  at = Put2(at, f.minute);
  at = Put2(at, f.second);
  Put(at, "Z");
  return {out.data(), out.size()};
}

std::optional<base::WallTime> ParseHttpDate(std::string_view text) {
  if (text.size() < 24) return std::nullopt;
  Fields f{};
  const std::size_t comma = text.find(',');
  if (comma == std::string_view::npos) {  // asctime: "Sun Nov  6 08:49:37 1994"
    Reader reader(text.substr(3));
    reader.Expect(" ");
    f.month = reader.Month();
    reader.Expect(" ");
    f.day = reader.DayOfAsctime();
    reader.Expect(" ");
    ReadTime(&reader, &f);
    reader.Expect(" ");
    f.year = reader.Number(4);
    return reader.Finished() ? Join(f) : std::nullopt;
  }
  Reader reader(text.substr(comma + 1));
  reader.Expect(" ");
  f.day = reader.Number(2);
  if (comma == 3) {  // "Sun, 06 Nov 1994 08:49:37 GMT"
    reader.Expect(" ");
    f.month = reader.Month();
    reader.Expect(" ");
    f.year = reader.Number(4);
  } else {  // "Sunday, 06-Nov-94 08:49:37 GMT"
    reader.Expect("-");
    f.month = reader.Month();
    reader.Expect("-");
    f.year = reader.Number(2);
    f.year += f.year < 70 ? 2000 : 1900;
  }
  reader.Expect(" ");
  ReadTime(&reader, &f);
  reader.Expect(" GMT");
  return reader.Finished() ? Join(f) : std::nullopt;
}

std::optional<base::WallTime> ParseBasicDate(std::string_view text) {
  if (text.size() != kBasicDateBytes) return std::nullopt;
  Reader reader(text);
  Fields f{};
  f.year = reader.Number(4);
  f.month = reader.Number(2);
  f.day = reader.Number(2);
  reader.Expect("T");
  f.hour = reader.Number(2);
  f.minute = reader.Number(2);
  f.second = reader.Number(2);
  reader.Expect("Z");
  return reader.Finished() ? Join(f) : std::nullopt;
}

}  // namespace sluice::http1
