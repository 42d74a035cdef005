// Bounds of the Event recorder, in one place.
#pragma once

#include <chrono>
#include <cstddef>

namespace sluice::recorder {

inline constexpr std::size_t kMaxSeries = 4096;     // Events remembered, to fold repeats into
inline constexpr std::size_t kMaxPending = 1000;    // Events waiting to be written
inline constexpr std::size_t kMaxNoteBytes = 1024;  // the API's own bound
inline constexpr int kMaxAttempts = 4;              // writes of one Event before it is given up
// Per object: this many Events at once, then one more per refill (client-go's spam filter).
inline constexpr int kBurstPerObject = 25;
inline constexpr std::chrono::seconds kRefillPerObject{300};
// A repeated Event is written again at most this often.
inline constexpr std::chrono::seconds kSeriesFlush{30};
// An Event not repeated for this long starts a new series (the server keeps Events for an hour).
inline constexpr std::chrono::minutes kSeriesLife{30};
// How long Stop() goes on writing what waits.
inline constexpr std::chrono::seconds kDrain{2};

}  // namespace sluice::recorder
