// Internal to this folder: admits agents. A token is reviewed on threads of our own, because a
// review waits for an API server and those of connections must not.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "controller/base/clock.h"
#include "controller/base/growing_threads.h"
#include "controller/base/status.h"
#include "controller/rpc/server.h"
#include "reconcilers/agents/ca.h"
#include "reconcilers/agents/issuer.h"
#include "reconcilers/agents/server.h"

namespace sluice::agent::v1 {
class EnrolRequest;
class Identity;
}  // namespace sluice::agent::v1

namespace sluice::agents {

// Who may have a certificate for `site` and `node`, given what the review says. Pure.
// Errors: PermissionDenied naming what differs.
base::Status Admit(const ReviewedToken& token, const AgentIdentity& wanted);

// Bounded queues before threads, a queue a lane: jobs of one lane wait for the same API server. A
// lane that is silent holds up no other: it has at most `at_once` threads, one more is started when
// none is free (base/growing_threads.h), and however many jobs wait, a lane may have
// kWaitingOfALane of its own. Within a lane the order is that of coming.
//
// Every job runs exactly once: with OK from a thread of the pool, or with an error when there was
// no room or the pool stops.
//
// Thread rule: Submit from any thread; the rest by the owner.
class ReviewPool {
 public:
  using Job = std::function<void(const base::Status& admitted)>;
  struct Limits {
    int threads = 1;          // kept
    int most_threads = 1;     // at least lanes times at_once, plus one, for the promise above
    std::size_t waiting = 1;  // of all lanes, as long as each has its own
  };
  explicit ReviewPool(Limits limits);
  ~ReviewPool() { Stop(); }
  void Submit(const std::string& lane, int at_once, Job job);
  // Answers what waits with Unavailable, finishes what runs, joins.
  void Stop();

 private:
  struct Lane {
    std::size_t waiting = 0;
    int running = 0;
  };
  using Lanes = std::map<std::string, Lane>;  // those with something waiting or running
  struct Waiting {
    Lanes::iterator lane;
    int at_once = 1;
    Job job;
  };
  void Run(base::GrowingThreads::Self& self);
  std::list<Waiting>::iterator FindRunnable();

  const Limits limits_;
  std::mutex mutex_;
  std::condition_variable wake_;
  Lanes lanes_;              // guarded by mutex_, as are:
  std::list<Waiting> jobs_;  // in the order they came
  bool stopping_ = false;
  base::GrowingThreads threads_;
};

// The method Enrol. All it is given outlives its calls. Thread rule: any.
class Enroller {
 public:
  // `own_at_once`: reviews in the cluster the controller is in.
  Enroller(const Issuer& issuer, TokenReviewer& reviewer, const Roster& roster, base::Clock& clock,
           ReviewPool& pool, int own_at_once)
      : issuer_(issuer),
        reviewer_(reviewer),
        roster_(roster),
        clock_(clock),
        pool_(pool),
        own_at_once_(own_at_once) {}

  void Enrol(std::shared_ptr<rpc::Call> call, std::string_view request);

  std::atomic<long> enrolled{0}, refused{0};

 private:
  base::Status Decide(const agent::v1::EnrolRequest& request, agent::v1::Identity& response) const;

  const Issuer& issuer_;
  TokenReviewer& reviewer_;
  const Roster& roster_;
  base::Clock& clock_;
  ReviewPool& pool_;
  const int own_at_once_;
};

}  // namespace sluice::agents
