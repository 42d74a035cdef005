// Bounds of this folder: every queue, cache, buffer and retry has one, and it stands here.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace sluice::origin {

inline constexpr std::size_t kMaxConnections = 64;  // to one origin, from one loop
inline constexpr std::size_t kMaxWaiting = 4096;    // exchanges that wait for a connection
inline constexpr std::size_t kScratchBytes = 256
                                             << 10;  // one a loop: bodies nobody has a place for
inline constexpr std::size_t kReadBudgetBytes = 2 << 20;  // one connection's share of a turn
inline constexpr std::size_t kMaxDrainBytes = 64
                                              << 10;  // of an answer nobody wants, to keep the line
inline constexpr std::size_t kOutgoingHeadBytes = 32 << 10;

inline constexpr int kMaxAttempts = 3;
inline constexpr std::chrono::milliseconds kBackoffBase{50};
inline constexpr std::chrono::milliseconds kBackoffMax{1000};
inline constexpr std::chrono::milliseconds kRetryAfterMax{2000};
inline constexpr double kRetryBudgetMax = 20;          // retries saved up
inline constexpr double kRetryBudgetPerRequest = 0.1;  // earned by each request

inline constexpr int kCircuitFailures = 4;  // in a row, to open
inline constexpr std::chrono::milliseconds kCircuitOpenMin{1000};
inline constexpr std::chrono::milliseconds kCircuitOpenMax{30000};

}  // namespace sluice::origin
