// Every bound of reconcilers/audit in one place.
#pragma once

#include <chrono>
#include <cstddef>

#include "controller/base/clock.h"

namespace sluice::audit {

// One line with its newline; a longer one is refused (and what it would record is held).
inline constexpr std::size_t kMaxLineBytes = 1u << 20;
// Entries of one Append: one look of one Promotion at the most (34 verdicts with what each rests
// on).
inline constexpr std::size_t kMaxEntries = 160;
// Votes that an entry of its own lists; the verdict's record has all.
inline constexpr std::size_t kMaxVotesOfEntry = 32;
// A type, a subject, an actor.
inline constexpr std::size_t kMaxNameBytes = 512;
// Problems a verification lists; the ones beyond are counted.
inline constexpr std::size_t kMaxProblems = 50;
// Files of one folder that are looked at for the last head.
inline constexpr std::size_t kMaxFiles = 100'000;

// A head that moved is in its checkpoint after this time at the latest.
inline constexpr base::Duration kCheckpointEvery = std::chrono::seconds(10);
// Files that retention removes at once, and how often it looks when nothing was rotated.
inline constexpr std::size_t kMaxRetiredFiles = 64;
inline constexpr base::Duration kRetireEvery = std::chrono::hours(1);
// What is read of a file at a time.
inline constexpr std::size_t kReadBytes = 1u << 16;
// Between two tries to open a log that could not be opened.
inline constexpr base::Duration kReopenEvery = std::chrono::seconds(5);

}  // namespace sluice::audit
