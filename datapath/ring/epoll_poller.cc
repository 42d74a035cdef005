#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <ctime>

#include "controller/base/check.h"
#include "datapath/ring/kinds.h"
#include "datapath/ring/limits.h"

namespace sluice::ring {
namespace {

// The wake-up descriptor's own token; no caller uses it (tokens carry a generation, see net/).
constexpr std::uint64_t kWakeToken = ~std::uint64_t{0};

class EpollPoller final : public Poller {
 public:
  EpollPoller(int epoll_fd, int wake_fd) : epoll_fd_(epoll_fd), wake_fd_(wake_fd) {}
  ~EpollPoller() override {
    ::close(wake_fd_);
    ::close(epoll_fd_);
  }
  EpollPoller(const EpollPoller&) = delete;
  EpollPoller& operator=(const EpollPoller&) = delete;

  base::Status Add(int fd, std::uint64_t token) override {
    return Control(fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, token);
  }

  base::Status Control(int fd, std::uint32_t interest, std::uint64_t token) {
    epoll_event event{};
    event.events = interest;
    event.data.u64 = token;
    if (::epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, fd, &event) != 0) {
      return base::FromErrno(errno, "epoll_ctl");
    }
    return base::OkStatus();
  }

  void Remove(int fd) override { ::epoll_ctl(epoll_fd_, EPOLL_CTL_DEL, fd, nullptr); }

  std::size_t Wait(base::Duration timeout, std::span<Event> events) override {
    std::array<epoll_event, kMaxEventsPerWait> ready;
    const int room = static_cast<int>(std::min(ready.size(), events.size()));
    const int count = WaitReady(timeout, ready.data(), room);
    if (count < 0) {
      SLUICE_CHECK(errno == EINTR);  // anything else is a bug of ours (EBADF, EINVAL, EFAULT)
      return 0;
    }
    std::size_t filled = 0;
    for (int i = 0; i < count; ++i) {
      if (ready[i].data.u64 == kWakeToken) {
        std::uint64_t ignored = 0;
        [[maybe_unused]] const ssize_t got = ::read(wake_fd_, &ignored, sizeof ignored);
        continue;
      }
      const std::uint32_t bits = ready[i].events;
      events[filled++] = Event{.token = ready[i].data.u64,
                               .readable = (bits & (EPOLLIN | EPOLLRDHUP | EPOLLPRI)) != 0,
                               .writable = (bits & EPOLLOUT) != 0,
                               .broken = (bits & (EPOLLERR | EPOLLHUP)) != 0};
    }
    return filled;
  }

  void Wake() override {
    const std::uint64_t one = 1;
    // EAGAIN means the counter is full, so a wake-up is pending already.
    [[maybe_unused]] const ssize_t sent = ::write(wake_fd_, &one, sizeof one);
  }

  const char* name() const override { return "epoll"; }

 private:
  int WaitReady(base::Duration timeout, epoll_event* ready, int room) {
    const auto ns = timeout.count();
    if (!coarse_) {
      const timespec until{.tv_sec = ns / 1'000'000'000, .tv_nsec = ns % 1'000'000'000};
      const int count = ::epoll_pwait2(epoll_fd_, ready, room, ns < 0 ? nullptr : &until, nullptr);
      if (count >= 0 || errno != ENOSYS) return count;
      coarse_ = true;  // a kernel before 5.11, or a sandbox: milliseconds, rounded up
    }
    constexpr std::int64_t kMaxMs = 60'000;  // a wait that ends early is only another turn
    const std::int64_t ms = std::min(kMaxMs, (ns + 999'999) / 1'000'000);
    return ::epoll_wait(epoll_fd_, ready, room, ns < 0 ? -1 : static_cast<int>(ms));
  }

  const int epoll_fd_;
  const int wake_fd_;
  bool coarse_ = false;
};

}  // namespace

bool Listens(int fd) {
  int listens = 0;
  socklen_t length = sizeof listens;
  return ::getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &length) == 0 && listens != 0;
}

base::StatusOr<std::unique_ptr<Poller>> NewEpollPoller(int* epoll_fd_out) {
  const int epoll_fd = ::epoll_create1(EPOLL_CLOEXEC);
  if (epoll_fd_out != nullptr) *epoll_fd_out = epoll_fd;
  if (epoll_fd < 0) return base::FromErrno(errno, "epoll_create1");
  const int wake_fd = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (wake_fd < 0) {
    const base::Status failed = base::FromErrno(errno, "eventfd");
    ::close(epoll_fd);
    return failed;
  }
  auto poller = std::make_unique<EpollPoller>(epoll_fd, wake_fd);
  SLUICE_RETURN_IF_ERROR(poller->Control(wake_fd, EPOLLIN | EPOLLET, kWakeToken));
  return std::unique_ptr<Poller>(std::move(poller));
}

}  // namespace sluice::ring
