#include "controller/http/wait.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <limits>

#include "controller/base/check.h"

namespace sluice::http {

WakeFd::WakeFd() : fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) { SLUICE_CHECK(fd_ >= 0); }
WakeFd::~WakeFd() { close(fd_); }
void WakeFd::Trigger() const { eventfd_write(fd_, 1); }

CallScope::CallScope(const WakeFd& client_stop, const std::stop_token& token,
                     base::MonoTime deadline)
    : client_fd_(client_stop.fd()), deadline_(deadline) {
  if (token.stop_possible()) {
    call_fd_.emplace();
    callback_.emplace(token, [this] { call_fd_->Trigger(); });
  }
}

base::Status CallScope::Check() const { return WaitFor(-1, 0, base::MonoTime::min(), "Total"); }

base::Status CallScope::WaitFor(int fd, short events, base::MonoTime limit,
                                const char* limit_name) const {
  // With fd < 0 this only looks whether the call was called off or ran out of time.
  const bool only_check = fd < 0;
  const base::MonoTime until = only_check ? deadline_ : std::min(limit, deadline_);
  pollfd fds[3] = {
      {fd, events, 0}, {client_fd_, POLLIN, 0}, {call_fd_ ? call_fd_->fd() : -1, POLLIN, 0}};
  while (true) {
    const auto now = std::chrono::steady_clock::now();
    int wait_ms = 0;
    if (!only_check && until > now) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - now).count();
      wait_ms = static_cast<int>(std::min<std::int64_t>(left, std::numeric_limits<int>::max()));
    }
    const int n = poll(fds, 3, wait_ms);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return base::FromErrno(errno, "poll");
    if (fds[1].revents != 0) return base::Cancelled("the HTTP client was stopped");
    if (fds[2].revents != 0) return base::Cancelled("the call was stopped");
    if (fds[0].revents != 0) return base::OkStatus();
    if (std::chrono::steady_clock::now() >= until) {
      if (only_check && deadline_ > now) return base::OkStatus();
      const char* name = until == deadline_ ? "Total" : limit_name;
      return base::DeadlineExceeded(fmt::format("the {} time limit passed", name)).WithReason(name);
    }
    if (only_check) return base::OkStatus();
  }
}

}  // namespace sluice::http
