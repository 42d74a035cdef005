// Every bound of this folder.
#pragma once

#include <chrono>
#include <cstddef>

#include "controller/clusters/limits.h"

namespace sluice::site {

// How long an agent must have been ready to count while others are replaced. A kubelet may call a
// pod ready for an instant before the first answer to its probe (kubernetes/kubernetes PR 134746),
// and it tells the instant in whole seconds.
inline constexpr std::chrono::seconds kReadyFor{2};
// How often a deletion under way is looked at.
inline constexpr std::chrono::milliseconds kTearDownLook{1000};
// How long the DaemonSet's deletion waits for its pods. A pod on a node that is gone never ends by
// itself, and would hold the Site for ever.
inline constexpr std::chrono::minutes kForegroundPatience{10};
// How often a namespace that is not ours, and so is not watched, is looked at.
inline constexpr std::chrono::seconds kTakenLook{15};

// How often a Site is looked at for what its agents say, at most: a look goes over all of its nodes
// and agents, and thousands of agents speak within a minute when they are new or come back. What is
// said after a quiet while is looked at at once.
inline constexpr std::chrono::milliseconds kAgentsGather{500};

// Until a cache is looked at again that does not show yet what we wrote. Its echo is told besides.
inline constexpr std::chrono::milliseconds kEchoWait{500};

// How often a Site whose cluster another Site of it is busy with is looked at.
inline constexpr std::chrono::milliseconds kBusyLook{500};
// How often a cluster that a deletion waits for is looked at; its coming back is told besides.
inline constexpr std::chrono::seconds kAwayLook{30};
// Workers for Sites of other clusters. One at a time may be in a cluster, and when no free one is
// left a further one is started: if every cluster falls silent, each holds one, and one is free.
inline constexpr int kElsewhereWorkers = 2;
inline constexpr int kMostElsewhereWorkers =
    static_cast<int>(clusters::kMaxClusters) + kElsewhereWorkers;
// While a Rollout moves a Site its pods are listed this often: by nodes, within these bounds.
inline constexpr std::chrono::milliseconds kMoveLookPerNode{10};
inline constexpr std::chrono::milliseconds kShortestMoveLook{1000};
inline constexpr std::chrono::milliseconds kLongestMoveLook{30'000};
// How far ahead the end of a release's life is waited for in one go.
inline constexpr std::chrono::hours kLongestLifeLook{1};

}  // namespace sluice::site
