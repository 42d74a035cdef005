// Internal to this folder: handlers on threads of their own, so that whoever asked is answered in
// time whatever the handler does.
//
// Thread rule: Run from any thread. Stop: Stop() lets jobs under way and waiting ones finish, and
// joins; idempotent.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <stop_token>
#include <thread>
#include <vector>

#include "controller/base/clock.h"
#include "controller/http/server.h"

namespace sluice::webhook {

class Workers {
 public:
  using Work = std::function<http::ServerResponse(std::stop_token)>;

  Workers(int threads, base::Clock& clock);
  ~Workers() { Stop(); }

  // The work's answer; 503 when too much waits, 504 when `deadline` came first: the work is told by
  // its stop token, or not begun at all. Work must not throw.
  http::ServerResponse Run(Work work, base::MonoTime deadline);
  void Stop();

 private:
  struct Job {
    Work work;
    std::stop_source stop;
    std::condition_variable done_wake;
    bool done = false;  // guarded by mutex_, as is answer
    http::ServerResponse answer;
  };
  void Loop();

  base::Clock& clock_;
  const std::size_t max_waiting_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::shared_ptr<Job>> waiting_;  // guarded by mutex_
  bool stopping_ = false;                     // guarded by mutex_
  std::vector<std::thread> threads_;
};

}  // namespace sluice::webhook
