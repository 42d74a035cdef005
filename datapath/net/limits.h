// Bounds of this folder.
#pragma once

#include <chrono>
#include <cstddef>

namespace sluice::net {

// Posted tasks run in one turn before descriptors are looked at again: neither starves the other.
inline constexpr std::size_t kMaxTasksPerTurn = 1024;
// Connections accepted in one turn by one listener.
inline constexpr int kMaxAcceptsPerTurn = 64;
inline constexpr int kListenBacklog = 4096;
// How long a listener rests after the process ran out of descriptors or memory.
inline constexpr std::chrono::milliseconds kAcceptRest{100};
// What one call of PagePipe moves, and the size asked for the pipe (the kernel's default maximum).
inline constexpr std::size_t kPagePipeBytes = 1 << 20;
// Host names waiting to be resolved, names remembered, and for how long.
inline constexpr std::size_t kMaxResolveQueue = 256;
inline constexpr std::size_t kMaxResolved = 1024;
inline constexpr std::chrono::seconds kResolvedTtl{30};
// A certificate with its chain, or a key.
inline constexpr std::size_t kMaxPemFileBytes = 256 << 10;

}  // namespace sluice::net
