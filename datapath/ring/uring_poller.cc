#include "datapath/ring/uring_poller.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "controller/base/check.h"

namespace sluice::ring {
namespace {

constexpr int kRetryMs = 10;

}  // namespace

UringPoller::UringPoller(int wake_fd, std::unique_ptr<Poller> listening, int listening_fd)
    : wake_fd_(wake_fd), listening_(std::move(listening)) {
  SLUICE_CHECK(Add(wake_fd, kWakeToken).ok());
  SLUICE_CHECK(Add(listening_fd, kListeningToken).ok());
}

UringPoller::~UringPoller() {
  if (open_) io_uring_queue_exit(&ring_);
  for (std::size_t fd = 0; fd < places_.size(); ++fd)
    if (places_[fd].state != State::kFree && places_[fd].token == kRestToken)
      ::close(static_cast<int>(fd));
  ::close(wake_fd_);
}

base::Status UringPoller::Add(int fd, std::uint64_t token) {
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
  places_[at].input = Input::kPolled;
  places_[at].long_input = false;
  Want(fd);
  return base::OkStatus();
}

void UringPoller::Remove(int fd) {
  Place& place = places_[static_cast<std::size_t>(fd)];
  if (place.state == State::kListening) {
    place.state = State::kFree;
    return listening_->Remove(fd);
  }
  const std::uint64_t poll = UserData(fd);
  const Input input = std::exchange(place.input, Input::kPolled);
  buffers_.Forget(place.unread);
  NewGeneration(place);
  place.waited_for = false;
  const std::uint32_t slot = std::exchange(place.slot, kNoSlot);
  const bool sends = slot != kNoSlot && slots_[slot].submitted;
  const bool rest_of_copy = place.token == kRestToken;
  const bool armed = std::exchange(place.state, State::kFree) == State::kArmed;
  if (armed) Cancel(poll);
  if (input == Input::kReceived || input == Input::kAwaited) Cancel(kInputMark | poll);
  if (armed || sends || input != Input::kPolled) SubmitNow();
  if (slot == kNoSlot || (sends && SentWhole(slot))) return;
  if ((rest_of_copy || !SendRest(fd, slot)) && !sends) slots_.Free(slot);
}

std::size_t UringPoller::Wait(base::Duration timeout, std::span<Event> events) {
  if (renew_) Renew();
  if (!open_) return 0;
  Arm();
  const auto ns = wanted_.empty() && !look_at_listening_ ? timeout.count() : 0;
  __kernel_timespec until{.tv_sec = ns / 1'000'000'000, .tv_nsec = ns % 1'000'000'000};
  io_uring_cqe* cqe = nullptr;
  const int result = -(ns == 0 ? io_uring_submit_and_get_events(&ring_)
                               : io_uring_submit_and_wait_timeout(
                                     &ring_, &cqe, sends_ + 1, ns < 0 ? nullptr : &until, nullptr));
  EndBatch();
  // Completions were lost for want of memory; another thread has the loop now.
  lost_ = lost_ || result == EBADR;
  renew_ = renew_ || lost_ || result == EEXIST;
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
void UringPoller::Wake() {
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t sent = ::write(wake_fd_, &one, sizeof one);
}

void UringPoller::EndBatch() {
  ++batch_;
  sends_ = 0;
}

void UringPoller::SubmitNow() {  // what is refused (no memory) is submitted with the next turn's
  io_uring_submit_and_get_events(&ring_);
  EndBatch();
}

io_uring_sqe* UringPoller::NewEntry() {
  io_uring_sqe* entry = io_uring_get_sqe(&ring_);
  if (entry != nullptr) return entry;
  SubmitNow();
  return io_uring_get_sqe(&ring_);
}

void UringPoller::Cancel(std::uint64_t user_data) {
  io_uring_sqe* const entry = NewEntry();
  renew_ = renew_ || entry == nullptr;
  if (entry == nullptr) return;
  io_uring_prep_cancel64(entry, user_data, 0);
  entry->flags |= IOSQE_CQE_SKIP_SUCCESS;
  io_uring_sqe_set_data64(entry, kNobody);
}

void UringPoller::Want(int fd) {
  places_[static_cast<std::size_t>(fd)].state = State::kWanted;
  wanted_.push_back(fd);
}

// Opens a ring that is the calling thread's, with every descriptor to be armed. Where there is no
// memory the old one goes on, or a while passes; the next turn tries again.
void UringPoller::Renew() {
  io_uring fresh;
  if (OpenRing(&fresh) != 0) {
    if (!open_) ::poll(nullptr, 0, kRetryMs);
    return;
  }
  if (std::exchange(open_, true)) {
    KeepInput(lost_ || io_uring_cq_has_overflow(&ring_));
    io_uring_queue_exit(&ring_);
  }
  ring_ = fresh;
  receives_ = buffers_.Register(&ring_) == 0;
  renew_ = lost_ = false;
  for (std::size_t fd = 0; fd < places_.size(); ++fd) {
    if (places_[fd].state != State::kArmed) continue;
    NewGeneration(places_[fd]);
    Want(static_cast<int>(fd));
  }
  ForgetSends();
}

void UringPoller::Arm() {
  while (!wanted_.empty()) {
    const int fd = wanted_.back();
    Place& place = places_[static_cast<std::size_t>(fd)];
    // Neither: removed since, or noted twice. Without an entry: in the next turn, which follows at
    // once.
    if (place.state == State::kWanted && !ArmPoll(fd, place)) return;
    if (place.state == State::kArmed && place.input == Input::kWanted && !ArmInput(fd, place))
      return;
    wanted_.pop_back();
  }
}

bool UringPoller::ArmPoll(int fd, Place& place) {
  io_uring_sqe* const entry = NewEntry();
  if (entry == nullptr) return false;
  if (!receives_) place.input = Input::kPolled;
  io_uring_prep_poll_multishot(
      entry, fd, place.input == Input::kPolled ? POLLIN | POLLOUT | POLLRDHUP : POLLOUT);
  io_uring_sqe_set_data64(entry, UserData(fd));
  place.state = State::kArmed;
  return true;
}

bool UringPoller::Take(const io_uring_cqe& cqe, Event* event) {
  if (cqe.user_data == kNobody) return false;
  if ((cqe.user_data & kSendMark) != 0) return TakeSent(cqe, event);
  if ((cqe.user_data & kInputMark) != 0) return TakeReceived(cqe, event);
  const int fd = static_cast<int>(cqe.user_data & 0xffffffff);
  Place& place = places_[static_cast<std::size_t>(fd)];
  if (place.state != State::kArmed || UserData(fd) != cqe.user_data) return false;
  if ((cqe.flags & IORING_CQE_F_MORE) == 0 && cqe.res >= 0) Want(fd);
  if (place.token == kWakeToken) return false;
  if (place.token == kListeningToken) {
    look_at_listening_ = true;
    return false;
  }
  const int bits = cqe.res < 0 ? POLLERR : cqe.res;
  *event = Event{.token = place.token,
                 .readable = (bits & (POLLIN | POLLRDHUP | POLLPRI)) != 0 || place.unread.count > 0,
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
