// Every bound of this folder.
#pragma once

#include <chrono>
#include <cstddef>

namespace sluice::site {

// How often a deletion under way is looked at.
inline constexpr std::chrono::milliseconds kTearDownLook{1000};
// How long the DaemonSet's deletion waits for its pods. A pod on a node that is gone never ends by
// itself, and would hold the Site for ever.
inline constexpr std::chrono::minutes kForegroundPatience{10};
// How often a namespace that is not ours, and so is not watched, is looked at.
inline constexpr std::chrono::seconds kTakenLook{15};

// How often a Site whose cluster another Site of it is busy with is looked at.
inline constexpr std::chrono::milliseconds kBusyLook{500};
// How often a cluster that a deletion waits for is looked at; its coming back is told besides.
inline constexpr std::chrono::seconds kAwayLook{30};
// Workers for Sites of other clusters, one a cluster at a time: so many clusters may fall silent in
// the same moment, until each is known to be away, before a further one's Sites wait.
inline constexpr int kElsewhereWorkers = 8;
// Token reviews under way in one other cluster; below the agents' server's review_threads.
inline constexpr std::size_t kReviewsOfACluster = 2;
// While a Rollout moves a Site its pods are listed this often: by nodes, within these bounds.
inline constexpr std::chrono::milliseconds kMoveLookPerNode{10};
inline constexpr std::chrono::milliseconds kShortestMoveLook{1000};
inline constexpr std::chrono::milliseconds kLongestMoveLook{30'000};
// How far ahead the end of a release's life is waited for in one go.
inline constexpr std::chrono::hours kLongestLifeLook{1};

}  // namespace sluice::site
