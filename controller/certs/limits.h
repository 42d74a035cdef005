// Every bound of this folder.
#pragma once

#include <chrono>
#include <cstddef>

namespace sluice::certs {

inline constexpr std::chrono::hours kAuthorityLife{24 * 365 * 2};
inline constexpr std::chrono::hours kServingLife{24 * 90};
inline constexpr std::chrono::minutes kSettle{5};   // of a bundle before anything relies on it
inline constexpr std::chrono::seconds kPeriod{10};  // between two looks at the Secret
inline constexpr std::size_t kMaxTargets = 64;

}  // namespace sluice::certs
