// Internal to this folder: admits agents. A token is reviewed on a few threads of our own, because
// a review waits for an API server and gRPC's threads must not.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "controller/base/clock.h"
#include "controller/base/status.h"
#include "reconcilers/agents/ca.h"
#include "reconcilers/agents/server.h"

namespace sluice::agents {

// Who may have a certificate for `site` and `node`, given what the review says. Pure.
// Errors: PermissionDenied naming what differs.
base::Status Admit(const ReviewedToken& token, const AgentIdentity& wanted);

// A bounded queue before a few threads. Every job runs exactly once: with OK from a thread of the
// pool, or with an error when there was no room or the pool stops.
class ReviewPool {
 public:
  using Job = std::function<void(const base::Status& admitted)>;
  ReviewPool(int threads, std::size_t bound);
  ~ReviewPool() { Stop(); }
  void Submit(Job job);
  // Answers what waits with Unavailable, finishes what runs, joins.
  void Stop();

 private:
  void Run();
  const std::size_t bound_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Job> jobs_;   // guarded by mutex_
  bool stopping_ = false;  // guarded by mutex_
  std::vector<std::thread> threads_;
};

}  // namespace sluice::agents
