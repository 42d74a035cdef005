// Every bound of this folder.
#pragma once

#include <chrono>
#include <cstddef>

namespace sluice::clusters {

inline constexpr std::size_t kMaxClusters = 256;
inline constexpr std::size_t kMaxInformers = 64;            // of one cluster
inline constexpr std::chrono::seconds kProbePeriod{10};     // between two looks at a cluster
inline constexpr std::chrono::seconds kRequestTimeout{15};  // of any call to one
inline constexpr int kFailuresUntilUnreachable = 2;         // of one that was reached, in a row

}  // namespace sluice::clusters
