// The implementations behind poller.h, for new_poller.cc. Thread rule: any thread.
#pragma once

#include "datapath/ring/poller.h"

struct io_uring;

namespace sluice::ring {

// Errors: ResourceExhausted when descriptors have run out.
base::StatusOr<std::unique_ptr<Poller>> NewEpollPoller();
base::StatusOr<std::unique_ptr<Poller>> NewUringPoller();

// Tries each system call of the io_uring poller once. OK, or what refuses and why, for people.
base::Status ProbeUring();
// 0, or an errno. The ring is the calling thread's.
int OpenRing(io_uring* ring);

}  // namespace sluice::ring
