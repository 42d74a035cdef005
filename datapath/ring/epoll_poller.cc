#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <ctime>

#include "controller/base/check.h"
#include "datapath/ring/limits.h"
#include "datapath/ring/poller.h"

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
    timespec until{};
    timespec* wait = nullptr;
    if (timeout >= base::Duration::zero()) {
      until.tv_sec = timeout.count() / 1'000'000'000;
      until.tv_nsec = timeout.count() % 1'000'000'000;
      wait = &until;
    }
    const int count = ::epoll_pwait2(epoll_fd_, ready.data(), room, wait, nullptr);
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
  int wake_fd() const { return wake_fd_; }

 private:
  const int epoll_fd_;
  const int wake_fd_;
};

}  // namespace

base::StatusOr<std::unique_ptr<Poller>> NewEpollPoller() {
  const int epoll_fd = ::epoll_create1(EPOLL_CLOEXEC);
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
