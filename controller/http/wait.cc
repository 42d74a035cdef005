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
namespace {

base::Status Passed(const char* limit_name) {
  return base::DeadlineExceeded(fmt::format("the {} time limit passed", limit_name))
      .WithReason(limit_name);
}

}  // namespace

WakeFd::WakeFd() : fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) { SLUICE_CHECK(fd_ >= 0); }
WakeFd::~WakeFd() { close(fd_); }
void WakeFd::Trigger() const {
  triggered_ = true;
  eventfd_write(fd_, 1);
}

CallScope::CallScope(const WakeFd& client_stop, const std::stop_token& token,
                     base::MonoTime deadline)
    : client_stop_(client_stop), token_(token), deadline_(deadline) {
  if (token.stop_possible()) {
    call_fd_.emplace();
    callback_.emplace(token, [this] { call_fd_->Trigger(); });
  }
}

base::Status CallScope::Check() const {
  if (client_stop_.triggered()) return base::Cancelled("the HTTP client was stopped");
  if (token_.stop_requested()) return base::Cancelled("the call was stopped");
  if (std::chrono::steady_clock::now() < deadline_) return base::OkStatus();
  return Passed("Total");
}

base::Status CallScope::WaitFor(int fd, short events, base::MonoTime limit,
                                const char* limit_name) const {
  const base::MonoTime until = std::min(limit, deadline_);
  pollfd fds[3] = {
      {fd, events, 0}, {client_stop_.fd(), POLLIN, 0}, {call_fd_ ? call_fd_->fd() : -1, POLLIN, 0}};
  const nfds_t count = call_fd_ ? 3 : 2;
  while (true) {
    const auto now = std::chrono::steady_clock::now();
    // A peer whose bytes always lie ready keeps nobody beyond the whole call's limit either.
    if (now >= deadline_) return Passed("Total");
    int wait_ms = 0;
    if (until > now) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - now).count();
      wait_ms = static_cast<int>(std::min<std::int64_t>(left, std::numeric_limits<int>::max()));
    }
    const int n = poll(fds, count, wait_ms);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return base::FromErrno(errno, "poll");
    if (fds[1].revents != 0) return base::Cancelled("the HTTP client was stopped");
    if (fds[2].revents != 0) return base::Cancelled("the call was stopped");
    if (fds[0].revents != 0) return base::OkStatus();
    if (std::chrono::steady_clock::now() >= until)
      return Passed(until == deadline_ ? "Total" : limit_name);
  }
}

}  // namespace sluice::http
