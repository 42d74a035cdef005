// Kubernetes resource quantities, "100m", "1.5Gi", "12e6", "0.5E", exactly. Pure; any thread.
//
// The grammar and its rounding are those of k8s.io/apimachinery's resource.Quantity: a decimal
// number, then a binary suffix (Ki … Ei), a decimal one (n u m "" k M G T P E) or an exponent.
// Parts finer than nano are rounded away from zero; amounts beyond 2^63-1 are held at it.
#pragma once

#include <compare>
#include <cstdint>
#include <string_view>

#include "controller/base/status.h"

namespace sluice::meta {

class Quantity {
 public:
  Quantity() = default;
  // Errors: InvalidArgument.
  static base::StatusOr<Quantity> Parse(std::string_view text);
  static Quantity FromInt(std::int64_t value);

  std::int64_t CeilValue() const;  // whole units, rounded up: bytes, counts
  friend auto operator<=>(const Quantity&, const Quantity&) = default;

 private:
  __extension__ using Nano = __int128;
  Nano nano_ = 0;
};

}  // namespace sluice::meta
