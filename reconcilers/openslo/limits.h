// Every bound of reconcilers/openslo in one place.
#pragma once

#include <cstddef>

namespace sluice::openslo {

inline constexpr std::size_t kMaxBytes = 1u << 20;  // of one file
inline constexpr std::size_t kMaxDocuments = 1000;  // of one call
inline constexpr std::size_t kMaxValues = 50'000;   // of one file, aliases expanded
inline constexpr int kMaxDepth = 32;
inline constexpr std::size_t kMaxObjectives = 16;    // of one SLO
inline constexpr std::size_t kMaxQueryBytes = 2048;  // as the kind's schema says
inline constexpr std::size_t kMaxAnnotationBytes = 8192;
inline constexpr std::size_t kMaxProblems = 100;  // listed

}  // namespace sluice::openslo
