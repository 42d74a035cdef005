// Small sends of the poller over io_uring: rules 5 and 6.
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "datapath/ring/limits.h"
#include "datapath/ring/uring_poller.h"

namespace sluice::ring {

bool UringPoller::SendLater(int fd, std::span<const iovec> pieces) {
  if (!open_) return false;
  Place& place = places_[static_cast<std::size_t>(fd)];
  std::size_t length = 0;
  for (const iovec& piece : pieces) length += piece.iov_len;
  if (length == 0 || length > kSendSlotBytes) return false;
  if (place.slot != kNoSlot) {  // more in the same turn joins what waits for its end
    SendSlot& slot = slots_[place.slot];
    if (slot.batch != batch_ || slot.end + length > kSendSlotBytes) return false;
    slot.Append(pieces);
    slot.entry->len = static_cast<std::uint32_t>(slot.end - slot.begin);
    return true;
  }
  const std::uint32_t index = slots_.Take(fd);
  if (index == kNoSlot) return false;
  slots_[index].Append(pieces);
  if (!Submit(index)) {
    slots_.Free(index);
    return false;
  }
  place.slot = index;
  return true;
}

bool UringPoller::Sending(int fd) {
  Place& place = places_[static_cast<std::size_t>(fd)];
  if (place.slot == kNoSlot) return false;
  const SendSlot& slot = slots_[place.slot];
  if (!std::exchange(place.waited_for, true) && slot.submitted && slot.batch == batch_) --sends_;
  return true;
}

bool UringPoller::Submit(std::uint32_t index) {
  io_uring_sqe* const entry = NewEntry();
  if (entry == nullptr) return false;
  SendSlot& slot = slots_[index];
  io_uring_prep_send(entry, slot.fd, slot.bytes + slot.begin, slot.end - slot.begin,
                     MSG_NOSIGNAL | MSG_DONTWAIT);
  io_uring_sqe_set_data64(entry, kSendMark | index);
  slot.submitted = true;
  slot.batch = batch_;
  slot.entry = entry;
  if (!PlaceOf(slot).waited_for) ++sends_;
  return true;
}

// Of a send that was submitted: nothing of it is left, or can be sent. False where nobody can say
// yet; TakeSent() will know.
bool UringPoller::SentWhole(std::uint32_t index) {
  SendSlot& slot = slots_[index];
  unsigned head = 0;
  io_uring_cqe* cqe = nullptr;
  io_uring_for_each_cqe(&ring_, head, cqe) {
    if (cqe->user_data != (kSendMark | index)) continue;
    if (cqe->res < 0) return cqe->res != -EAGAIN;
    return static_cast<std::size_t>(cqe->res) == slot.end - slot.begin;
  }
  if (io_uring_sq_ready(&ring_) > 0) {  // refused: by the next turn the number is another's
    io_uring_prep_nop(slot.entry);
    io_uring_sqe_set_data64(slot.entry, kSendMark | index);
  }
  return false;
}

// Rule 6. False: the descriptor is to be reset, or there are no more.
bool UringPoller::SendRest(int fd, std::uint32_t index) {
  linger end{};
  socklen_t length = sizeof end;
  ::getsockopt(fd, SOL_SOCKET, SO_LINGER, &end, &length);
  if (end.l_onoff != 0 && end.l_linger == 0) return false;
  const int copy = ::fcntl(fd, F_DUPFD_CLOEXEC, 0);
  if (copy < 0) return false;
  // Who reads nothing for so long is given up, by the kernel.
  ::setsockopt(copy, IPPROTO_TCP, TCP_USER_TIMEOUT, &kRestMs, sizeof kRestMs);
  if (!Add(copy, kRestToken).ok()) {
    ::close(copy);
    return false;
  }
  places_[static_cast<std::size_t>(copy)].slot = index;
  slots_[index].fd = copy;
  return true;
}

void UringPoller::EndRest(int copy) {
  Remove(copy);
  ::close(copy);
}

// The ring that they were submitted to is gone, and nobody knows what of them was sent: the poll
// will say that the connection is broken.
void UringPoller::ForgetSends() {
  for (std::size_t fd = 0; fd < places_.size(); ++fd)
    if (places_[fd].slot != kNoSlot) ::shutdown(static_cast<int>(fd), SHUT_RDWR);
  for (std::uint32_t i = 0; i < slots_.size(); ++i)
    if (std::exchange(slots_[i].submitted, false) && PlaceOf(slots_[i]).slot != i) slots_.Free(i);
}

bool UringPoller::TakeSent(const io_uring_cqe& cqe, Event* event) {
  const auto index = static_cast<std::uint32_t>(cqe.user_data);
  SendSlot& slot = slots_[index];
  slot.submitted = false;
  Place& place = PlaceOf(slot);
  const bool removed = place.slot != index;
  if (cqe.res > 0) slot.begin += static_cast<std::size_t>(cqe.res);
  const bool failed = cqe.res < 0 && cqe.res != -EAGAIN;
  // A send that stopped short told the socket so: an edge follows when there is room.
  if (!removed && !failed && slot.begin < slot.end) return false;
  slots_.Free(index);
  if (removed) return false;
  place.slot = kNoSlot;
  if (place.token == kRestToken) {
    EndRest(slot.fd);
    return false;
  }
  const bool writable = std::exchange(place.waited_for, false);
  *event = Event{.token = place.token, .writable = writable, .broken = failed};
  return writable || failed;
}

}  // namespace sluice::ring
