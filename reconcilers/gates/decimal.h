// Decimal: an exact fixed-point number with twelve fractional digits, |x| < 10^18.
//
// Targets, ratios and thresholds are decimal strings in the API; what Prometheus answers is a
// float64 printed in its shortest form. Both are read here once and compared as integers, so that
// "0.5" meets 0.5 and 0.1+0.2 (0.30000000000000004) is 0.3: float noise below 10^-12 is rounded
// away (half away from zero), nothing else is. Pure values.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "controller/base/status.h"

namespace sluice::gates {

class Decimal {
 public:
  static constexpr int kFractionDigits = 12;

  constexpr Decimal() = default;  // zero
  static Decimal FromInt(std::int64_t whole);
  // Accepts "[+-]digits[.digits][(e|E)[+-]digits]". Errors: InvalidArgument for anything else (NaN
  // and infinities are not numbers), OutOfRange when |x| >= 10^18.
  static base::StatusOr<Decimal> Parse(std::string_view text);

  // Shortest form: "0.5", "-3", "0".
  std::string ToString() const;
  // For people, at most `digits` fractional digits (rounded), trailing zeros dropped: "0.3".
  std::string Rounded(int digits) const;
  // For people, as a percentage: 0.82 -> "82 %", 0.8249 -> "82.5 %".
  std::string Percent() const;
  // The greatest whole number that is not above it.
  std::int64_t Floor() const;
  // Nearest double; for metrics only, never for decisions.
  double ToDouble() const;

  bool IsZero() const { return units_ == 0; }
  bool IsNegative() const { return units_ < 0; }

  // Results outside the range stop at its end.
  friend Decimal operator+(Decimal a, Decimal b);
  friend Decimal operator-(Decimal a, Decimal b);
  friend Decimal operator*(Decimal a, Decimal b);
  // Rounded half away from zero. The divisor must not be zero (SLUICE_CHECK).
  friend Decimal operator/(Decimal a, Decimal b);
  friend constexpr bool operator==(Decimal a, Decimal b) { return a.units_ == b.units_; }
  friend constexpr std::strong_ordering operator<=>(Decimal a, Decimal b) {
    return a.units_ < b.units_   ? std::strong_ordering::less
           : a.units_ > b.units_ ? std::strong_ordering::greater
                                 : std::strong_ordering::equal;
  }

 private:
  constexpr explicit Decimal(__int128 units) : units_(units) {}
  static Decimal Clamp(__int128 units);
  static Decimal MulDiv(__int128 a, __int128 b, __int128 c);
  Decimal RoundedUnits(int digits) const;

  __int128 units_ = 0;  // in 10^-12
};

}  // namespace sluice::gates
