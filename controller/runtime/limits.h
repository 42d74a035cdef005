// Bounds of the process around the reconcilers, in one place.
#pragma once

#include <chrono>
#include <cstddef>

#include "controller/workqueue/limits.h"

namespace sluice::runtime {

inline constexpr std::size_t kMaxControllers = 64;
inline constexpr std::size_t kMaxReadyChecks = 64;
inline constexpr std::size_t kMaxGathered = 4096;      // keys of a trigger that gathers
inline constexpr std::size_t kMaxKeptSeries = 128;     // of requests, found without the registry
inline constexpr std::size_t kMaxDebugEntries = 1000;  // of each queue
// Keys of a whole store that enter its queue at a time: as many as the queue keeps entries for.
inline constexpr std::size_t kBacklogSlice = workqueue::kSpareEntries;
// All keys of a controller, because its mapper threw: at most this often.
inline constexpr std::chrono::seconds kWholeLookPeriod{10};
// Free memory goes back to the system this long after the caches are synced or the lead was taken,
// then once in a longer while.
inline constexpr std::chrono::seconds kFirstTidy{1};
inline constexpr std::chrono::seconds kTidyPeriod{60};
// From the wish to stop until everything is joined; afterwards the process ends by force.
inline constexpr std::chrono::seconds kStopDeadline{25};
// From the wish to stop until the client's calls under way are called off: a server that answers
// has answered by then, and one that does not would hold the stop beyond its deadline.
inline constexpr std::chrono::seconds kCallGrace{5};
// Between two questions for the server's version, doubled up to the longest.
inline constexpr std::chrono::seconds kMinVersionRetry{1};
inline constexpr std::chrono::seconds kMaxVersionRetry{60};
// How often a start that waits for caches says for which.
inline constexpr std::chrono::seconds kSyncReport{10};
// A CPU profile: a sample each period of CPU time, of at most this depth.
inline constexpr std::chrono::seconds kDefaultProfileLength{30};
inline constexpr std::chrono::seconds kMaxProfileLength{60};
inline constexpr std::chrono::microseconds kProfilePeriod{10'000};
inline constexpr std::size_t kMaxProfileSamples = 20'000;  // later ones are dropped
inline constexpr std::size_t kMaxProfileDepth = 48;

}  // namespace sluice::runtime
