// Tells a loop which descriptors became ready. One Poller belongs to one loop.
//
// Readiness is edge-triggered in both directions and registered once for the life of a descriptor:
// a warm request costs no registration call. An event says "something changed since you last saw
// EAGAIN"; a spurious event is allowed, a missed one is not. This is the seam between epoll and
// io_uring (multishot poll gives the same edges); what is submitted rather than waited for (disk
// reads) does not pass here.
//
// Thread rule: the loop's thread only, except Wake(), which any thread may call.
// Stop: the destructor; descriptors still registered are forgotten, never closed.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "controller/base/clock.h"
#include "controller/base/status.h"

namespace sluice::ring {

struct Event {
  std::uint64_t token = 0;
  bool readable = false;  // bytes, end of stream or a connection to accept
  bool writable = false;  // room in the send buffer, or a connect that finished
  bool broken = false;    // error or hang-up in both directions
};

class Poller {
 public:
  virtual ~Poller() = default;

  // `token` comes back in every event of `fd`.
  // Errors: ResourceExhausted (kernel limits), InvalidArgument (not a pollable descriptor).
  virtual base::Status Add(int fd, std::uint64_t token) = 0;
  // After this no later Wait() reports `fd`; events of the batch in hand may still name its token.
  virtual void Remove(int fd) = 0;
  // Waits until an event, a Wake() or `timeout` (negative: for ever; zero: looks only). Returns how
  // many of `events` were filled; zero on timeout, wake-up or a signal.
  virtual std::size_t Wait(base::Duration timeout, std::span<Event> events) = 0;
  // Ends the Wait() in progress, or the next one. Any thread; calls before a Wait() count once.
  virtual void Wake() = 0;
  // "epoll", "io_uring": for logs and metrics.
  virtual const char* name() const = 0;
};

// Errors: ResourceExhausted when descriptors have run out.
base::StatusOr<std::unique_ptr<Poller>> NewEpollPoller();

}  // namespace sluice::ring
