// Bounds of this folder.
#pragma once

#include <cstddef>

namespace sluice::ring {

// Events taken from the kernel in one turn. More only makes a turn longer, not cheaper.
inline constexpr std::size_t kMaxEventsPerWait = 256;
// io_uring: descriptors newly watched in one turn, and events that lie ready at once (what is
// beyond is kept by the kernel in a list).
inline constexpr unsigned kSubmissionEntries = 256;
inline constexpr unsigned kCompletionEntries = 4096;
// Sends that leave together, and the most one of them holds: a body of 4 KiB with its head. So many
// buffers are kept a loop, made when first needed.
inline constexpr std::size_t kSendSlots = 256;
inline constexpr std::size_t kSendSlotBytes = 6 << 10;
// Buffers for what comes in, a loop's, made when first needed: each holds a request's head. Of one
// connection so many may wait to be read before nothing more is taken from its socket; the kernel
// may have filled some 32 by then.
inline constexpr unsigned kReceiveBuffers = 256;
inline constexpr std::size_t kReceiveBytes = 4 << 10;
inline constexpr unsigned kMaxUnread = 2;
// For so long a closed connection's peer may take nothing of what is still to be sent to it.
inline constexpr int kRestMs = 60'000;

}  // namespace sluice::ring
