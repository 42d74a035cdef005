// Names to addresses without blocking past a deadline: getaddrinfo(3) knows no time limit, so it
// runs on a thread of the resolver and callers wait as long as they may.
//
// Thread rule: Resolve from any thread. Stop: the destructor waits for the look-up under way, which
// the C library bounds by resolv.conf (seconds).
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "controller/base/status.h"
#include "controller/http/wait.h"

namespace sluice::http {

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t length = 0;
};

class Resolver {
 public:
  Resolver() = default;
  ~Resolver();
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  // At least one address on success; literal addresses never reach the thread. Errors: Unavailable
  // ("Resolve"), ResourceExhausted when too many wait, the scope's own.
  base::StatusOr<std::vector<SocketAddress>> Resolve(const std::string& host, std::uint16_t port,
                                                     const CallScope& scope, base::MonoTime limit);

 private:
  struct Job;
  void Loop();

  std::mutex mutex_;
  std::condition_variable work_;
  bool stopping_ = false;
  std::deque<std::shared_ptr<Job>> jobs_;
  std::thread thread_;  // started on first use
};

}  // namespace sluice::http
