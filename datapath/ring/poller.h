// Tells a loop which descriptors became ready. One Poller belongs to one loop.
//
// Readiness is edge-triggered in both directions and registered once for the life of a descriptor:
// a warm request costs no registration call. An event says "something changed since you last saw
// EAGAIN"; a spurious event is allowed, a missed one is not. This is the seam between epoll and
// io_uring (multishot poll gives the same edges); what is submitted rather than waited for (disk
// reads) does not pass here.
//
// Thread rule: the loop's thread only, except Wake(), which any thread may call. A thread that only
// sets a loop up, or takes down one whose thread has ended, may Add() and Remove() too.
// Stop: the destructor; descriptors still registered are forgotten, never closed.
#pragma once

#include <sys/types.h>
#include <sys/uio.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>

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
  // Call before closing `fd`. After this no later Wait() reports it; events of the batch in hand
  // may still name its token.
  virtual void Remove(int fd) = 0;
  // Waits until an event, a Wake() or `timeout` (negative: for ever; zero: looks only). Returns how
  // many of `events` were filled; zero on timeout and wake-up, and at times for nothing (a signal).
  virtual std::size_t Wait(base::Duration timeout, std::span<Event> events) = 0;

  // For small messages, on a stream socket that was just added: what comes to it may be taken into
  // buffers of the poller's ahead of being asked for, many by one system call. Long ones are not.
  virtual void ReceiveAhead(int fd);
  // recv(2) that never waits, but for errors, which are negative. A watched socket's bytes are read
  // by this alone. Fewer than asked for: there is no more now, and an event follows when there is.
  virtual ssize_t Receive(int fd, std::span<char> into);

  // Small sends that leave with the next Wait(), many by one system call. True: all of `pieces` was
  // copied and counts as written; until Sending() is false again nothing may be written to `fd`, a
  // watched stream socket, by another way. False: not taken (too long, too many, others on their
  // way, or this kind has no such thing): write it yourself, once Sending() is false. What a full
  // socket does not take is kept and sent when it has room, after Remove() too: only then the
  // peer sees the end. A socket that is to be reset (SO_LINGER of zero, set before) forgets it.
  virtual bool SendLater(int fd, std::span<const iovec> pieces);
  // True: bytes of `fd` are still to be sent. An event follows that says writable, or broken.
  virtual bool Sending(int fd);

  // Ends the Wait() in progress, or the next one. Any thread; calls before a Wait() count once.
  virtual void Wake() = 0;
  // "epoll", "io_uring": for logs and metrics.
  virtual const char* name() const = 0;
};

enum class PollerKind : std::uint8_t { kAuto, kEpoll, kIoUring };
const char* PollerKindName(PollerKind kind);  // "auto", "epoll", "io_uring"

struct PollerChoice {
  PollerKind kind = PollerKind::kEpoll;  // never kAuto
  std::string why;                       // for people: logs, `sluice-agent check`
};
// What is taken here when `wanted` is asked for: io_uring only where the kernel lets us use all we
// need of it, epoll otherwise. Asks the kernel.
PollerChoice ChoosePoller(PollerKind wanted);

// The one that ChoosePoller() names. Errors: ResourceExhausted (descriptors, memory).
base::StatusOr<std::unique_ptr<Poller>> NewPoller(PollerKind wanted);

}  // namespace sluice::ring
