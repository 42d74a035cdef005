// Turns host names into addresses without blocking a loop: one thread asks the system (getaddrinfo:
// /etc/hosts, DNS), answers are kept for kResolvedTtl, and an old answer is served while the system
// cannot give a new one (a DNS outage must not add to an origin's).
//
// Thread rule: Resolve() from any loop's thread; `done` runs on that loop. Stop: the destructor
// refuses what is queued (Cancelled), waits for the question in flight (the system's own limit,
// seconds) and joins. The loops given to Resolve() must outlive the resolver.
#pragma once

#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "controller/base/clock.h"
#include "controller/base/status.h"
#include "datapath/net/address.h"
#include "datapath/net/event_loop.h"

namespace sluice::net {

class Resolver {
 public:
  using Done = Callback<void(base::StatusOr<std::vector<Address>>)>;

  explicit Resolver(base::Clock& clock);
  ~Resolver();
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  // A literal answers without asking anyone, but still later and not from inside this call.
  // Errors given to `done`: NotFound (no such name), Unavailable (asked in vain),
  // ResourceExhausted (too many waiting), Cancelled (the resolver stops).
  void Resolve(EventLoop& loop, const std::string& host, std::uint16_t port, Done done);

 private:
  struct Question {
    EventLoop* loop;
    std::string host;
    std::uint16_t port;
    Done done;
  };
  struct Answer {
    std::vector<std::string> ips;
    base::MonoTime asked_at;
  };

  void Work();
  static void Deliver(Question question, base::StatusOr<std::vector<Address>> result);

  base::Clock& clock_;
  // Guarded by mutex_:
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Question> queue_;
  std::map<std::string, Answer> answers_;
  bool stopping_ = false;

  std::thread thread_;  // last: everything it uses exists
};

}  // namespace sluice::net
