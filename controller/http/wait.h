// Waiting for a socket with a deadline and a way to be called off. Internal to this folder.
#pragma once

#include <atomic>
#include <optional>
#include <stop_token>

#include "controller/base/clock.h"
#include "controller/base/status.h"

namespace sluice::http {

// An eventfd that turns readable once and stays so. Trigger() from any thread.
class WakeFd {
 public:
  WakeFd();
  ~WakeFd();
  WakeFd(const WakeFd&) = delete;
  WakeFd& operator=(const WakeFd&) = delete;
  void Trigger() const;
  int fd() const { return fd_; }
  bool triggered() const { return triggered_; }

 private:
  int fd_;
  mutable std::atomic<bool> triggered_{false};
};

// What may end a call early: the client's Stop() and the call's own stop token.
class CallScope {
 public:
  CallScope(const WakeFd& client_stop, const std::stop_token& token, base::MonoTime deadline);

  base::MonoTime deadline() const { return deadline_; }
  // Cancelled when called off, DeadlineExceeded ("Total") when the call's time is over. No system
  // call.
  base::Status Check() const;
  // Waits until `fd` is ready for `events` (poll(2)); `limit` is an earlier deadline and
  // `limit_name` its name in the error. Errors as Check().
  base::Status WaitFor(int fd, short events, base::MonoTime limit, const char* limit_name) const;

 private:
  const WakeFd& client_stop_;
  const std::stop_token token_;
  base::MonoTime deadline_;
  std::optional<WakeFd> call_fd_;
  std::optional<std::stop_callback<std::function<void()>>> callback_;
};

}  // namespace sluice::http
