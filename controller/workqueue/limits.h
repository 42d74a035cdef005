// Bounds of the work queue, in one place.
#pragma once

#include <chrono>
#include <cstddef>

namespace sluice::workqueue {

// Distinct keys one queue tracks (waiting, running, delayed or backing off). Above the number of
// objects any one store holds; an Add beyond it is refused and counted.
inline constexpr std::size_t kMaxKeys = 1'000'000;

// Per-key exponential back-off: first wait, longest wait, and how far jitter moves each of them.
inline constexpr std::chrono::milliseconds kBaseBackoff{5};
inline constexpr std::chrono::milliseconds kMaxBackoff{300'000};
inline constexpr double kBackoffJitter = 0.2;

// Keys added under one lock by AddMany.
inline constexpr std::size_t kAddSlice = 256;

// Entries kept for the next keys: those of one slice, about 40 kB.
inline constexpr std::size_t kSpareEntries = kAddSlice;

// Of this many keys handed out while both lists are filled, one is taken from the low list: changes
// go first, and a relist still ends.
inline constexpr int kLowPriorityShare = 16;

}  // namespace sluice::workqueue
