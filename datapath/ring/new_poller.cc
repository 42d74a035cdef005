#include <sys/socket.h>

#include <cerrno>
#include <utility>

#include "datapath/ring/kinds.h"

namespace sluice::ring {

const char* PollerKindName(PollerKind kind) {
  return kind == PollerKind::kAuto ? "auto" : kind == PollerKind::kEpoll ? "epoll" : "io_uring";
}

void Poller::ReceiveAhead(int) {}

ssize_t Poller::Receive(int fd, std::span<char> into) {
  for (;;) {
    const ssize_t got = ::recv(fd, into.data(), into.size(), MSG_DONTWAIT);
    if (got >= 0) return got;
    if (errno != EINTR) return -errno;
  }
}

bool Poller::SendLater(int, std::span<const iovec>) { return false; }
bool Poller::Sending(int) { return false; }

PollerChoice ChoosePoller(PollerKind wanted) {
  if (wanted == PollerKind::kEpoll) return {PollerKind::kEpoll, "asked for"};
  std::string without;
  const base::Status probed = ProbeUring(&without);
  if (!probed.ok()) return {PollerKind::kEpoll, std::string(probed.message())};
  std::string why = wanted == PollerKind::kAuto ? "the kernel allows all it needs" : "asked for";
  if (!without.empty()) why += "; requests are received by a call each (" + without + ")";
  return {PollerKind::kIoUring, std::move(why)};
}

base::StatusOr<std::unique_ptr<Poller>> NewPoller(PollerKind wanted) {
  return ChoosePoller(wanted).kind == PollerKind::kIoUring ? NewUringPoller() : NewEpollPoller();
}

}  // namespace sluice::ring
