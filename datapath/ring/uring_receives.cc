// What the poller over io_uring takes from sockets ahead of being asked: rules 8 to 10.
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "datapath/ring/limits.h"
#include "datapath/ring/uring_poller.h"

namespace sluice::ring {

void UringPoller::ReceiveAhead(int fd) {
  places_[static_cast<std::size_t>(fd)].input = Input::kWanted;
}

ssize_t UringPoller::Receive(int fd, std::span<char> into) {
  Place& place = places_[static_cast<std::size_t>(fd)];
  if (place.input == Input::kPolled) return Poller::Receive(fd, into);
  const std::size_t had = buffers_.Read(place.unread, into);
  if (had == into.size() || place.input != Input::kIdle)
    return had > 0 ? static_cast<ssize_t>(had) : -EAGAIN;
  const ssize_t got = Poller::Receive(fd, into.subspan(had));
  if (got > 0) place.long_input = got >= static_cast<ssize_t>(kReceiveBytes);
  const std::size_t all = had + static_cast<std::size_t>(std::max<ssize_t>(got, 0));
  if (all < into.size() && (all > 0 || got == -EAGAIN)) {
    place.input = Input::kWanted;
    wanted_.push_back(fd);
  }
  return all > 0 ? static_cast<ssize_t>(all) : got;
}

bool UringPoller::ArmInput(int fd, Place& place) {
  io_uring_sqe* const entry = NewEntry();
  if (entry == nullptr) return false;
  if (place.long_input) {
    io_uring_prep_poll_add(entry, fd, POLLIN | POLLRDHUP);
    place.input = Input::kAwaited;
  } else {
    io_uring_prep_recv_multishot(entry, fd, nullptr, 0, 0);
    entry->flags |= IOSQE_BUFFER_SELECT;
    entry->buf_group = ReceiveBuffers::kGroup;
    place.input = Input::kReceived;
  }
  io_uring_sqe_set_data64(entry, kInputMark | UserData(fd));
  return true;
}

bool UringPoller::KeepReceived(const io_uring_cqe& cqe) {
  if ((cqe.flags & IORING_CQE_F_BUFFER) == 0) return false;
  const auto buffer = static_cast<std::uint16_t>(cqe.flags >> IORING_CQE_BUFFER_SHIFT);
  const auto fd = static_cast<int>(cqe.user_data & 0xffffffff);
  const bool kept = cqe.res > 0 && (kInputMark | UserData(fd)) == cqe.user_data;
  if (kept) {
    buffers_.Append(places_[static_cast<std::size_t>(fd)].unread, buffer,
                    static_cast<std::size_t>(cqe.res));
  } else {
    buffers_.GiveBack(buffer);
  }
  return kept;
}

bool UringPoller::TakeReceived(const io_uring_cqe& cqe, Event* event) {
  const bool kept = KeepReceived(cqe);
  const auto fd = static_cast<int>(cqe.user_data & 0xffffffff);
  Place& place = places_[static_cast<std::size_t>(fd)];
  if ((kInputMark | UserData(fd)) != cqe.user_data) return false;
  const bool ended = (cqe.flags & IORING_CQE_F_MORE) == 0;
  const bool awaited = place.input == Input::kAwaited;
  if (ended) place.input = Input::kIdle;
  *event = Event{.token = place.token};
  if (kept && place.input == Input::kReceived &&
      (cqe.res == static_cast<int>(kReceiveBytes) || place.unread.count >= kMaxUnread)) {
    Cancel(cqe.user_data);
    place.input = Input::kStopping;
  }
  event->readable = kept || awaited || cqe.res == 0;
  if (event->readable || !ended) return event->readable;
  place.long_input = cqe.res == -ENOBUFS;  // then for once by the other way
  if (cqe.res != -ENOBUFS && cqe.res != -ECANCELED && cqe.res != -EAGAIN && cqe.res != -EINTR) {
    event->broken = true;  // the socket has told its error, and will not again
  } else if (place.unread.count == 0) {
    place.input = Input::kWanted;
    wanted_.push_back(fd);
  }
  return event->broken;
}

// Before the ring goes: what it has told of stays, and is told with what the next one tells first.
// Where completions were lost, nobody knows of which bytes.
void UringPoller::KeepInput(bool lost) {
  unsigned head = 0;
  io_uring_cqe* cqe = nullptr;
  io_uring_for_each_cqe(&ring_, head, cqe) {
    if ((cqe->user_data & kSendMark) == 0 && (cqe->user_data & kInputMark) != 0) KeepReceived(*cqe);
  }
  for (std::size_t fd = 0; fd < places_.size(); ++fd) {
    const Input input = places_[fd].input;
    if (lost && (input == Input::kReceived || input == Input::kStopping))
      ::shutdown(static_cast<int>(fd), SHUT_RDWR);
    if (input != Input::kPolled) places_[fd].input = Input::kWanted;
  }
}

}  // namespace sluice::ring
