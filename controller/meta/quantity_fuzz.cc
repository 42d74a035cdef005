// Any text: no crash; what parses compares with itself, with its negation and with what it is
// rounded to as numbers do.
#include <cstdint>
#include <string>

#include "controller/base/check.h"
#include "controller/meta/quantity.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using sluice::meta::Quantity;
  const std::string text(reinterpret_cast<const char*>(data), size);
  const auto quantity = Quantity::Parse(text);
  if (!quantity.ok()) return 0;
  SLUICE_CHECK(*quantity == *Quantity::Parse(text));
  const Quantity zero;
  // Whole units are rounded up, by less than one.
  const std::int64_t whole = quantity->CeilValue();
  SLUICE_CHECK(Quantity::FromInt(whole) >= *quantity);
  SLUICE_CHECK(Quantity::FromInt(whole - 1) < *quantity);
  if (text[0] != '-' && text[0] != '+') {
    const auto negated = Quantity::Parse("-" + text);
    if (negated.ok()) SLUICE_CHECK((*quantity == zero) ? *negated == zero : *negated < zero);
    SLUICE_CHECK(*quantity >= zero && quantity->CeilValue() >= 0);
  }
  return 0;
}
