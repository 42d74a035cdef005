#include "datapath/ring/kinds.h"

namespace sluice::ring {

const char* PollerKindName(PollerKind kind) {
  return kind == PollerKind::kAuto ? "auto" : kind == PollerKind::kEpoll ? "epoll" : "io_uring";
}

bool Poller::SendLater(int, std::span<const iovec>) { return false; }
bool Poller::Sending(int) { return false; }

PollerChoice ChoosePoller(PollerKind wanted) {
  if (wanted == PollerKind::kEpoll) return {PollerKind::kEpoll, "asked for"};
  const base::Status probed = ProbeUring();
  if (!probed.ok()) return {PollerKind::kEpoll, std::string(probed.message())};
  return {PollerKind::kIoUring,
          wanted == PollerKind::kAuto ? "the kernel allows all it needs" : "asked for"};
}

base::StatusOr<std::unique_ptr<Poller>> NewPoller(PollerKind wanted) {
  return ChoosePoller(wanted).kind == PollerKind::kIoUring ? NewUringPoller() : NewEpollPoller();
}

}  // namespace sluice::ring
