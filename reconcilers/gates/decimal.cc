#include "reconcilers/gates/decimal.h"

#include <algorithm>
#include <cctype>

namespace sluice::gates {
namespace {

using u128 = unsigned __int128;

constexpr __int128 kOne = 1'000'000'000'000;
constexpr __int128 kEnd = kOne * 1'000'000'000'000'000'000;  // 10^30 units = 10^18

struct Wide {
  u128 high = 0;
  u128 low = 0;
};

// 128 x 128 -> 256 bits, schoolbook on 64-bit halves.
Wide Multiply(u128 a, u128 b) {
  const u128 mask = ~std::uint64_t{0};
  const u128 a0 = a & mask, a1 = a >> 64, b0 = b & mask, b1 = b >> 64;
  const u128 low = a0 * b0;
  const u128 mid = a1 * b0 + (low >> 64);
  const u128 mid2 = a0 * b1 + (mid & mask);
  return {a1 * b1 + (mid >> 64) + (mid2 >> 64), (mid2 << 64) | (low & mask)};
}

// 256 / 128 -> quotient of at most 128 bits, by long division; `n.high < d` holds.
u128 Divide(Wide n, u128 d, u128& rest) {
  u128 remainder = n.high;
  u128 quotient = 0;
  for (int bit = 127; bit >= 0; --bit) {
    const bool carry = (remainder >> 127) != 0;
    remainder = (remainder << 1) | ((n.low >> bit) & 1);
    quotient <<= 1;
    if (carry || remainder >= d) {
      remainder -= d;
      quotient |= 1;
    }
  }
  rest = remainder;
  return quotient;
}

u128 Magnitude(__int128 x) { return x < 0 ? -static_cast<u128>(x) : static_cast<u128>(x); }

struct Scanned {
  bool negative = false;
  std::string digits;  // significant digits, no point
  int point = 0;       // digits before the point
};

base::Status Bad(std::string_view text) {
  return base::InvalidArgument("not a decimal number: \"" + std::string(text.substr(0, 40)) + "\"");
}

base::StatusOr<Scanned> Scan(std::string_view text) {
  Scanned out;
  std::size_t i = 0;
  if (i < text.size() && (text[i] == '+' || text[i] == '-')) out.negative = text[i++] == '-';
  bool point_seen = false;
  bool any = false;
  for (; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '.' && !point_seen) {
      point_seen = true;
      continue;
    }
    if (c < '0' || c > '9') break;
    any = true;
    if (out.digits.size() >= 400) return Bad(text);
    out.digits += c;
    if (!point_seen) ++out.point;
  }
  if (!any) return Bad(text);
  if (i == text.size()) return out;
  if (text[i] != 'e' && text[i] != 'E') return Bad(text);
  ++i;
  bool negative = false;
  if (i < text.size() && (text[i] == '+' || text[i] == '-')) negative = text[i++] == '-';
  if (i == text.size() || text.size() - i > 4) return Bad(text);
  int exponent = 0;
  for (; i < text.size(); ++i) {
    if (text[i] < '0' || text[i] > '9') return Bad(text);
    exponent = exponent * 10 + (text[i] - '0');
  }
  out.point += negative ? -exponent : exponent;
  return out;
}

}  // namespace

Decimal Decimal::FromInt(std::int64_t whole) { return Clamp(static_cast<__int128>(whole) * kOne); }

Decimal Decimal::Clamp(__int128 units) { return Decimal(std::clamp(units, -(kEnd - 1), kEnd - 1)); }

base::StatusOr<Decimal> Decimal::Parse(std::string_view text) {
  SLUICE_ASSIGN_OR_RETURN(const Scanned scanned, Scan(text));
  const int wanted = scanned.point + kFractionDigits;  // digits that make whole units
  __int128 units = 0;
  const int have = static_cast<int>(scanned.digits.size());
  for (int i = 0; i < std::min(wanted, have); ++i) {
    units = units * 10 + (scanned.digits[static_cast<std::size_t>(i)] - '0');
    if (units >= kEnd) return base::OutOfRange("number too large: " + std::string(text));
  }
  for (int i = have; i < wanted && units != 0; ++i) {
    units *= 10;
    if (units >= kEnd) return base::OutOfRange("number too large: " + std::string(text));
  }
  if (wanted >= 0 && wanted < have && scanned.digits[static_cast<std::size_t>(wanted)] >= '5') {
    ++units;
  }
  if (units >= kEnd) return base::OutOfRange("number too large: " + std::string(text));
  return Decimal(scanned.negative ? -units : units);
}

std::string Decimal::ToString() const {
  const u128 magnitude = Magnitude(units_);
  u128 whole = magnitude / static_cast<u128>(kOne);
  u128 fraction = magnitude % static_cast<u128>(kOne);
  std::string text;
  do {
    text += static_cast<char>('0' + static_cast<int>(whole % 10));
    whole /= 10;
  } while (whole != 0);
  if (units_ < 0) text += '-';
  std::reverse(text.begin(), text.end());
  if (fraction == 0) return text;
  std::string digits(kFractionDigits, '0');
  for (int i = kFractionDigits - 1; i >= 0; --i) {
    digits[static_cast<std::size_t>(i)] = static_cast<char>('0' + static_cast<int>(fraction % 10));
    fraction /= 10;
  }
  digits.erase(digits.find_last_not_of('0') + 1);
  return text + "." + digits;
}

Decimal Decimal::RoundedUnits(int digits) const {
  __int128 step = 1;
  for (int i = digits; i < kFractionDigits; ++i) step *= 10;
  const u128 half = static_cast<u128>(step) / 2;
  const u128 rounded =
      (Magnitude(units_) + half) / static_cast<u128>(step) * static_cast<u128>(step);
  const __int128 value = static_cast<__int128>(rounded);
  return Clamp(units_ < 0 ? -value : value);
}

std::string Decimal::Rounded(int digits) const { return RoundedUnits(digits).ToString(); }

std::string Decimal::Percent() const { return (*this * FromInt(100)).Rounded(1) + " %"; }

std::int64_t Decimal::Floor() const {
  const __int128 whole = units_ / kOne;
  return static_cast<std::int64_t>(units_ % kOne < 0 ? whole - 1 : whole);
}

double Decimal::ToDouble() const { return static_cast<double>(units_) / static_cast<double>(kOne); }

Decimal operator+(Decimal a, Decimal b) { return Decimal::Clamp(a.units_ + b.units_); }
Decimal operator-(Decimal a, Decimal b) { return Decimal::Clamp(a.units_ - b.units_); }
Decimal operator*(Decimal a, Decimal b) { return Decimal::MulDiv(a.units_, b.units_, kOne); }
Decimal operator/(Decimal a, Decimal b) {
  SLUICE_CHECK(b.units_ != 0);
  return Decimal::MulDiv(a.units_, kOne, b.units_);
}

// a * b / c, rounded half away from zero.
Decimal Decimal::MulDiv(__int128 a, __int128 b, __int128 c) {
  const bool negative = ((a < 0) != (b < 0)) != (c < 0);
  const u128 divisor = Magnitude(c);
  const Wide product = Multiply(Magnitude(a), Magnitude(b));
  __int128 result = kEnd;
  if (product.high < divisor) {
    u128 rest = 0;
    u128 quotient = Divide(product, divisor, rest);
    if (rest >= divisor - rest) ++quotient;
    if (quotient < static_cast<u128>(kEnd)) result = static_cast<__int128>(quotient);
  }
  return Clamp(negative ? -result : result);
}

}  // namespace sluice::gates
