// Names to addresses without blocking past a deadline: getaddrinfo(3) knows no time limit, so it
// runs on a thread of the resolver and callers wait as long as they may.
//
// Invariants
//  1. A name is looked up once for all who ask meanwhile, and not at all when they left before its
//     turn.
//  2. An answer is kept for kResolvedAge: one that came too late for whoever asked serves the next,
//     so that look-ups which take longer than any caller waits (a first name server that is dead:
//     5 s) succeed. Errors are not kept; nor is an answer that led nowhere (Forget).
//
// Thread rule: any thread. Stop: the destructor waits for the look-up under way, which the C
// library bounds by resolv.conf (seconds).
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <condition_variable>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "controller/base/clock.h"
#include "controller/base/status.h"
#include "controller/http/limits.h"
#include "controller/http/wait.h"

namespace sluice::http {

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t length = 0;
};

class Resolver {
 public:
  using Addresses = std::vector<SocketAddress>;
  // Blocks. Errors: Unavailable ("Resolve").
  using LookUp = std::function<base::StatusOr<Addresses>(const std::string& host, std::uint16_t)>;

  // With a look-up and an age of its own for tests; getaddrinfo(3) without.
  explicit Resolver(LookUp look_up = nullptr, base::Duration kept = kResolvedAge);
  ~Resolver();
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  // At least one address on success; literal addresses never reach the thread. Errors: Unavailable
  // ("Resolve"), ResourceExhausted when too many wait, the scope's own.
  base::StatusOr<Addresses> Resolve(const std::string& host, std::uint16_t port,
                                    const CallScope& scope, base::MonoTime limit);
  // The kept answer is of no use: the next caller has the name looked up.
  void Forget(const std::string& host, std::uint16_t port);

 private:
  struct Job;
  using Jobs = std::list<std::shared_ptr<Job>>;
  Jobs::iterator Find(const std::string& host, std::uint16_t port);
  // Makes it, or finds the one of others.
  base::StatusOr<std::shared_ptr<Job>> Join(const std::string& host, std::uint16_t port);
  void Leave(const std::shared_ptr<Job>& job);
  void Loop();

  const LookUp look_up_;
  const base::Duration kept_;

  std::mutex mutex_;  // guards what follows and what jobs hold
  std::condition_variable work_;
  bool stopping_ = false;
  Jobs jobs_;           // one a name: those that wait, in their order, and those that are kept
  std::thread thread_;  // started on first use
};

}  // namespace sluice::http
