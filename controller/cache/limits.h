// Every bound of this folder. A cache's size is bounded by what is in the cluster and by its
// selectors; what is kept beside the objects has its bound here.
#pragma once

#include <chrono>
#include <cstddef>

namespace sluice::cache {

inline constexpr std::size_t kMaxExpectations = 65536;       // writes whose echo has not come
inline constexpr std::chrono::seconds kExpectationLife{60};  // then we act on what we have
inline constexpr std::size_t kRecentVersions = 1024;    // events remembered, opaque versions only
inline constexpr std::size_t kMaxExceptionsTold = 256;  // logged once each; later ones are counted
inline constexpr int kListPageSize = 500;
inline constexpr std::chrono::milliseconds kMinBackoff{800};
inline constexpr std::chrono::milliseconds kMaxBackoff{30000};
inline constexpr int kMaxOlderStates = 4;            // in a row, then the cluster was set back
inline constexpr int kMaxFailedResumes = 3;          // in a row, then the state is read anew
inline constexpr int kMaxUnmarkedStreams = 2;        // for one state, then it is listed
inline constexpr std::chrono::seconds kQuickEnd{1};  // a watch shorter than this did nothing

}  // namespace sluice::cache
