// The implementations behind poller.h, for new_poller.cc. Thread rule: any thread.
#pragma once

#include "datapath/ring/poller.h"

struct io_uring;

namespace sluice::ring {

// Errors: ResourceExhausted when descriptors have run out.
// `epoll_fd`: where to tell the descriptor that another poller can watch.
base::StatusOr<std::unique_ptr<Poller>> NewEpollPoller(int* epoll_fd = nullptr);
base::StatusOr<std::unique_ptr<Poller>> NewUringPoller();

// A socket that connections come to.
bool Listens(int fd);

// Tries each system call of the io_uring poller once. OK, or what refuses and why, for people; so
// `without`, of what it does not need, but uses.
base::Status ProbeUring(std::string* without);
// 0, or an errno. The ring is the calling thread's.
int OpenRing(io_uring* ring);

}  // namespace sluice::ring
