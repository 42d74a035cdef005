#include "controller/meta/quantity.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <limits>
#include <optional>
#include <vector>

#include "controller/meta/limits.h"

namespace sluice::meta {
namespace {

__extension__ using Wide = __int128;
constexpr Wide kNano = 1'000'000'000;
constexpr Wide kMaxNano = Wide{std::numeric_limits<std::int64_t>::max()} * kNano;

struct Scale {
  int binary = 0;   // power of two
  int decimal = 0;  // power of ten
};

std::optional<Scale> ParseSuffix(std::string_view suffix) {
  if (suffix.empty()) return Scale{};
  static constexpr std::string_view kBinary = "KMGTPE";
  if (suffix.size() == 2 && suffix[1] == 'i') {
    const std::size_t i = kBinary.find(suffix[0]);
    if (i == std::string_view::npos) return std::nullopt;
    return Scale{.binary = 10 * (static_cast<int>(i) + 1)};
  }
  if (suffix.size() == 1) {
    static constexpr std::string_view kLetters = "numkMGTPE";
    static constexpr int kPowers[] = {-9, -6, -3, 3, 6, 9, 12, 15, 18};
    const std::size_t i = kLetters.find(suffix[0]);
    if (i == std::string_view::npos) return std::nullopt;
    return Scale{.decimal = kPowers[i]};
  }
  if (suffix[0] != 'e' && suffix[0] != 'E') return std::nullopt;
  const char* first = suffix.data() + 1;
  const char* last = suffix.data() + suffix.size();
  if (*first == '+') {
    ++first;
    if (first == last || *first == '-') return std::nullopt;
  }
  int power = 0;
  const auto [end, error] = std::from_chars(first, last, power);
  if (error != std::errc() || end != last) return std::nullopt;
  return Scale{.decimal = power};
}

// A natural number as decimal digits, the lowest first: exact at any length the grammar allows.
class Digits {
 public:
  void Append(char digit) { digits_.insert(digits_.begin(), digit - '0'); }
  void Times1024() {
    int carry = 0;
    for (int& digit : digits_) {
      carry += digit * 1024;
      digit = carry % 10;
      carry /= 10;
    }
    for (; carry > 0; carry /= 10) digits_.push_back(carry % 10);
  }
  // times 10^power, rounded up; everything above `limit` is `limit`.
  Wide ScaleUp(int power, Wide limit) const {
    bool lost = false;
    Wide value = 0;
    for (std::size_t i = digits_.size(); i-- > 0;) {
      if (static_cast<int>(i) + power < 0) {
        lost = lost || digits_[i] != 0;
        continue;
      }
      value = value * 10 + digits_[i];
      if (value > limit) return limit;
    }
    const int zeros = value == 0 ? 0 : power;
    for (int i = 0; i < zeros; ++i) {
      value *= 10;
      if (value > limit) return limit;
    }
    return lost && value < limit ? value + 1 : value;
  }

 private:
  std::vector<int> digits_;
};

}  // namespace

base::StatusOr<Quantity> Quantity::Parse(std::string_view text) {
  const auto bad = [&] {
    return base::InvalidArgument(
        fmt::format("\"{}\" is not a quantity", text.substr(0, kMaxQuantityBytes)));
  };
  if (text.empty() || text.size() > kMaxQuantityBytes) return bad();
  std::string_view rest = text;
  const bool negative = rest[0] == '-';
  if (negative || rest[0] == '+') rest.remove_prefix(1);
  const std::size_t number_size = std::min(rest.find_first_not_of("0123456789."), rest.size());
  const std::string_view number = rest.substr(0, number_size);
  const std::size_t dot = std::min(number.find('.'), number.size());
  if (number.size() == (dot < number.size() ? 1u : 0u)) return bad();  // no digit
  if (dot < number.size() && number.find('.', dot + 1) != std::string_view::npos) return bad();
  const std::optional<Scale> scale = ParseSuffix(rest.substr(number_size));
  if (!scale) return bad();

  Digits digits;
  for (const char c : number) {
    if (c != '.') digits.Append(c);
  }
  for (int i = 0; i < scale->binary; i += 10) digits.Times1024();
  const int decimals = dot == number.size() ? 0 : static_cast<int>(number.size() - dot - 1);
  const int power = std::clamp(scale->decimal, -1000, 1000) + 9 - decimals;  // to nano
  const Wide value = digits.ScaleUp(power, kMaxNano);
  Quantity quantity;
  quantity.nano_ = negative ? -value : value;
  return quantity;
}

Quantity Quantity::FromInt(std::int64_t value) {
  Quantity quantity;
  quantity.nano_ = Wide{value} * kNano;
  return quantity;
}

std::int64_t Quantity::CeilValue() const {
  Wide whole = nano_ / kNano;
  if (nano_ > 0 && nano_ % kNano != 0) ++whole;
  return static_cast<std::int64_t>(whole);
}

}  // namespace sluice::meta
