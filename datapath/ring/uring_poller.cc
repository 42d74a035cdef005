// Poller over io_uring: one multishot poll a descriptor, one io_uring_enter a turn, which submits
// what was added and waits. Numbered rules:
//  1. A completion names a descriptor and a generation of its place; one of an older generation is
//     dropped, so nothing is reported after Remove().
//  2. Add() only notes; the first Wait() opens the ring, and each arms what was noted. The ring
//     takes submissions of one thread only, the one that opened it: its wait does then what is to
//     be done for the completions, and not every system call.
//  3. Remove() cancels at once: a poll holds its file, and close() is to close. Once the loop's
//     thread has ended, files are let go when the ring closes.
//  4. Arming tells what is the case now. So a poll that ended by itself is armed again, and a ring
//     that lost completions, or whose thread changed, is made anew: nothing is missed.
//  5. A send never waits in the kernel (MSG_DONTWAIT): its completion lies in the queue when the
//     call that submitted it returns, and from then on nobody reads its slot. So a turn waits for
//     one completion more than it submits sends that nobody waits for, and what a full socket left
//     is submitted again when the poll says that there is room. A send that somebody waits for is
//     an event itself: were it counted, the turn would sleep over it.
//  6. What a full socket left of a removed descriptor goes by a copy of it, which is closed then.
//  7. A ring lets go of what it polls only some time after its process was killed. So sockets that
//     listen are watched by an epoll, and the ring polls that: who starts next can bind at once.
#include <fcntl.h>
#include <liburing.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <utility>
#include <vector>

#include "controller/base/check.h"
#include "datapath/ring/kinds.h"
#include "datapath/ring/limits.h"
#include "datapath/ring/send_slots.h"

namespace sluice::ring {
namespace {

constexpr std::uint64_t kUringWakeToken = ~std::uint64_t{0};  // no caller uses it, as with epoll
constexpr std::uint64_t kRestToken = kUringWakeToken - 1;     // of copies, by rule 6
constexpr std::uint64_t kListeningToken = kRestToken - 1;     // of the epoll of rule 7
constexpr std::uint64_t kNobody = ~std::uint64_t{0};          // completions of cancellations
constexpr std::uint64_t kSendMark = std::uint64_t{1} << 63;   // completions of sends, with the slot
constexpr std::uint32_t kGenerations = 0x7fffffff;            // leaves the mark free
constexpr int kRetryMs = 10;
constexpr auto kNoSlot = SendSlots::kNone;

class UringPoller final : public Poller {
 public:
  UringPoller(int wake_fd, std::unique_ptr<Poller> listening, int listening_fd)
      : wake_fd_(wake_fd), listening_(std::move(listening)) {
    SLUICE_CHECK(Add(wake_fd, kUringWakeToken).ok());
    SLUICE_CHECK(Add(listening_fd, kListeningToken).ok());
  }
  ~UringPoller() override {
    if (open_) io_uring_queue_exit(&ring_);
    for (std::size_t fd = 0; fd < places_.size(); ++fd)
      if (places_[fd].state != State::kFree && places_[fd].token == kRestToken)
        ::close(static_cast<int>(fd));
    ::close(wake_fd_);
  }
  UringPoller(const UringPoller&) = delete;
  UringPoller& operator=(const UringPoller&) = delete;

  base::Status Add(int fd, std::uint64_t token) override {
    struct stat about {};
    if (::fstat(fd, &about) != 0) return base::FromErrno(errno, "fstat");
    if (S_ISREG(about.st_mode) || S_ISDIR(about.st_mode))
      return base::InvalidArgument("files and folders are always ready, there is nothing to poll");
    const auto at = static_cast<std::size_t>(fd);
    if (at >= places_.size()) places_.resize(at + 1);
    if (Listens(fd)) {
      places_[at].state = State::kListening;
      return listening_->Add(fd, token);
    }
    places_[at].token = token;
    Want(fd);
    return base::OkStatus();
  }

  void Remove(int fd) override {
    Place& place = places_[static_cast<std::size_t>(fd)];
    if (place.state == State::kListening) {
      place.state = State::kFree;
      return listening_->Remove(fd);
    }
    const std::uint64_t poll = UserData(fd);
    NewGeneration(place);
    place.waited_for = false;
    const std::uint32_t slot = std::exchange(place.slot, kNoSlot);
    const bool sends = slot != kNoSlot && slots_[slot].submitted;
    const bool rest_of_copy = place.token == kRestToken;
    const bool armed = std::exchange(place.state, State::kFree) == State::kArmed;
    io_uring_sqe* const entry = armed ? NewEntry() : nullptr;
    if (entry != nullptr) {
      io_uring_prep_cancel64(entry, poll, 0);
      entry->flags |= IOSQE_CQE_SKIP_SUCCESS;
      io_uring_sqe_set_data64(entry, kNobody);
    }
    renew_ = renew_ || (armed && entry == nullptr);
    if (armed || sends) SubmitNow();
    if (slot == kNoSlot || (sends && SentWhole(slot))) return;
    if ((rest_of_copy || !SendRest(fd, slot)) && !sends) slots_.Free(slot);
  }

  bool SendLater(int fd, std::span<const iovec> pieces) override {
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

  bool Sending(int fd) override {
    Place& place = places_[static_cast<std::size_t>(fd)];
    if (place.slot == kNoSlot) return false;
    const SendSlot& slot = slots_[place.slot];
    if (!std::exchange(place.waited_for, true) && slot.submitted && slot.batch == batch_) --sends_;
    return true;
  }

  std::size_t Wait(base::Duration timeout, std::span<Event> events) override {
    if (renew_) Renew();
    if (!open_) return 0;
    Arm();
    const auto ns = wanted_.empty() && !look_at_listening_ ? timeout.count() : 0;
    __kernel_timespec until{.tv_sec = ns / 1'000'000'000, .tv_nsec = ns % 1'000'000'000};
    io_uring_cqe* cqe = nullptr;
    const int result =
        -(ns == 0 ? io_uring_submit_and_get_events(&ring_)
                  : io_uring_submit_and_wait_timeout(&ring_, &cqe, sends_ + 1,
                                                     ns < 0 ? nullptr : &until, nullptr));
    EndBatch();
    // Completions were lost for want of memory; another thread has the loop now.
    renew_ = renew_ || result == EBADR || result == EEXIST;
    // Anything else is a bug of ours. What was not taken now is submitted with the next turn's.
    SLUICE_CHECK(renew_ || result <= 0 || result == ETIME || result == EINTR || result == EBUSY ||
                 result == EAGAIN);
    std::size_t filled = 0;
    unsigned head = 0, taken = 0;
    io_uring_for_each_cqe(&ring_, head, cqe) {
      if (filled == events.size()) break;
      if (Take(*cqe, &events[filled])) ++filled;
      ++taken;
    }
    io_uring_cq_advance(&ring_, taken);
    if (look_at_listening_ && filled < events.size()) {
      filled += listening_->Wait(base::Duration::zero(), events.subspan(filled));
      look_at_listening_ = filled == events.size();  // there may be more
    }
    return filled;
  }

  // Nobody reads the counter: every write is an edge, and 2^64 of them do not happen.
  void Wake() override {
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t sent = ::write(wake_fd_, &one, sizeof one);
  }

  const char* name() const override { return "io_uring"; }

 private:
  enum class State : std::uint8_t { kFree, kWanted, kArmed, kListening };
  struct Place {
    std::uint64_t token = 0;
    std::uint32_t generation = 0;
    State state = State::kFree;
    std::uint32_t slot = kNoSlot;  // of bytes that are still to be sent
    bool waited_for = false;       // somebody wants to write behind them
  };
  static void NewGeneration(Place& place) {
    place.generation = (place.generation + 1) & kGenerations;
  }

  std::uint64_t UserData(int fd) const {
    const auto at = static_cast<std::size_t>(fd);
    return std::uint64_t{places_[at].generation} << 32 | at;
  }

  Place& PlaceOf(const SendSlot& slot) { return places_[static_cast<std::size_t>(slot.fd)]; }

  void EndBatch() {
    ++batch_;
    sends_ = 0;
  }

  void SubmitNow() {  // what is refused (no memory) is submitted with the next turn's
    io_uring_submit_and_get_events(&ring_);
    EndBatch();
  }

  // nullptr: the kernel has no memory for what was submitted before.
  io_uring_sqe* NewEntry() {
    io_uring_sqe* entry = io_uring_get_sqe(&ring_);
    if (entry != nullptr) return entry;
    SubmitNow();
    return io_uring_get_sqe(&ring_);
  }

  bool Submit(std::uint32_t index) {
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
  bool SentWhole(std::uint32_t index) {
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
  bool SendRest(int fd, std::uint32_t index) {
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

  void EndRest(int copy) {
    Remove(copy);
    ::close(copy);
  }

  void Want(int fd) {
    places_[static_cast<std::size_t>(fd)].state = State::kWanted;
    wanted_.push_back(fd);
  }

  // Opens a ring that is the calling thread's, with every descriptor to be armed. Where there is no
  // memory the old one goes on, or a while passes; the next turn tries again.
  void Renew() {
    io_uring fresh;
    if (OpenRing(&fresh) != 0) {
      if (!open_) ::poll(nullptr, 0, kRetryMs);
      return;
    }
    if (std::exchange(open_, true)) io_uring_queue_exit(&ring_);
    ring_ = fresh;
    renew_ = false;
    for (std::size_t fd = 0; fd < places_.size(); ++fd) {
      // Nobody knows what of it was sent: the poll will say that the connection is broken.
      if (places_[fd].slot != kNoSlot) ::shutdown(static_cast<int>(fd), SHUT_RDWR);
      if (places_[fd].state != State::kArmed) continue;
      NewGeneration(places_[fd]);
      Want(static_cast<int>(fd));
    }
    for (std::uint32_t i = 0; i < slots_.size(); ++i)
      if (std::exchange(slots_[i].submitted, false) && PlaceOf(slots_[i]).slot != i) slots_.Free(i);
  }

  void Arm() {
    while (!wanted_.empty()) {
      const int fd = wanted_.back();
      Place& place = places_[static_cast<std::size_t>(fd)];
      if (place.state == State::kWanted) {  // else removed since, or noted twice
        io_uring_sqe* const entry = NewEntry();
        if (entry == nullptr) return;  // the rest in the next turn, which follows at once
        io_uring_prep_poll_multishot(entry, fd, POLLIN | POLLOUT | POLLRDHUP);
        io_uring_sqe_set_data64(entry, UserData(fd));
        place.state = State::kArmed;
      }
      wanted_.pop_back();
    }
  }

  // True: it is an event for the caller.
  bool Take(const io_uring_cqe& cqe, Event* event) {
    if (cqe.user_data == kNobody) return false;
    if ((cqe.user_data & kSendMark) != 0) return TakeSent(cqe, event);
    const int fd = static_cast<int>(cqe.user_data & 0xffffffff);
    Place& place = places_[static_cast<std::size_t>(fd)];
    if (place.state != State::kArmed || UserData(fd) != cqe.user_data) return false;
    if ((cqe.flags & IORING_CQE_F_MORE) == 0 && cqe.res >= 0) {
      NewGeneration(place);
      Want(fd);
    }
    if (place.token == kUringWakeToken) return false;
    if (place.token == kListeningToken) {
      look_at_listening_ = true;
      return false;
    }
    const int bits = cqe.res < 0 ? POLLERR : cqe.res;
    *event = Event{.token = place.token,
                   .readable = (bits & (POLLIN | POLLRDHUP | POLLPRI)) != 0,
                   .writable = (bits & POLLOUT) != 0,
                   .broken = (bits & (POLLERR | POLLHUP)) != 0};
    if (event->writable && place.slot != kNoSlot) {
      event->writable = false;  // what is to be sent comes first, whoever waits is told behind it
      place.waited_for = true;
      if (!slots_[place.slot].submitted && !Submit(place.slot)) event->broken = true;
    }
    if (place.token != kRestToken) return event->readable || event->writable || event->broken;
    if (event->broken) EndRest(fd);
    return false;
  }

  bool TakeSent(const io_uring_cqe& cqe, Event* event) {
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

  io_uring ring_;
  const int wake_fd_;
  const std::unique_ptr<Poller> listening_;
  bool look_at_listening_ = false;
  bool open_ = false;
  bool renew_ = true;          // before the next wait
  std::vector<Place> places_;  // by descriptor
  std::vector<int> wanted_;    // descriptors to be armed
  std::uint64_t batch_ = 1;    // what is submitted next
  unsigned sends_ = 0;         // since the last submission
  SendSlots slots_;
};

}  // namespace

base::StatusOr<std::unique_ptr<Poller>> NewUringPoller() {
  const int wake_fd = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (wake_fd < 0) return base::FromErrno(errno, "eventfd");
  int listening_fd = -1;
  auto listening = NewEpollPoller(&listening_fd);
  if (!listening.ok()) {
    ::close(wake_fd);
    return listening.status();
  }
  return std::unique_ptr<Poller>(
      std::make_unique<UringPoller>(wake_fd, std::move(listening).value(), listening_fd));
}

}  // namespace sluice::ring
