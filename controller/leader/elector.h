// Takes and keeps a Lease, and guarantees that two replicas never both believe they lead.
//
// Invariants (t = when the last successful write of our hold was *sent*, by the monotonic clock)
//  1. leading() is true only before t + renew_deadline. Others wait at least lease_duration after
//     they see that write, which is later, so nobody leads while we do.
//  2. At t + renew_deadline, or when another holder is seen, the lead is lost for good: on_lost is
//     called once and this Elector never leads again. The owner stops its work and calls Stop().
//  3. If Stop() has not been called by t + lease_duration - margin, on_overdue is called: it ends
//     the process. A watchdog thread keeps 2 and 3 even when the renewing thread is stuck in a call
//     or the process was frozen.
//  4. On Stop() while leading the Lease is given back, so that another replica leads at once. The
//     owner calls Stop() only when nothing acts any more.
//  5. The fencing epoch does not come from here: a deleted Lease would reset leaseTransitions.
//  6. One call that hangs does not cost the lead, as long as calls end within RequestTimeout: the
//     next attempt begins at once and still has as long. Calls therefore want a client of their
//     own; one with the usual 30 s would outlast the deadline.
//
// Candidates wait retry_period without client-go's jitter (factor 1.2, for candidates only): there
// are as many as replicas, the resourceVersion decides between two that come at once, and jitter
// would lengthen fail-over.
//
// Steady time does not count a suspended machine; the epoch and resourceVersions fence that.
//
// Thread rule: Start and Stop from the owner's thread; the rest from any. Callbacks run on the
// Elector's threads and must not block or call Stop().
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <thread>

#include "controller/base/clock.h"
#include "controller/base/metrics.h"
#include "controller/client/client.h"
#include "controller/leader/lease.h"

namespace sluice::leader {

struct Options {
  meta::Key lease;
  std::string identity;  // of this process, unlike that of any other and of its own last life
  std::chrono::milliseconds lease_duration{15000};
  std::chrono::milliseconds renew_deadline{10000};
  std::chrono::milliseconds retry_period{2000};
};

// Errors: InvalidArgument unless 0 < retry_period < renew_deadline < lease_duration, names given.
base::Status Validate(const Options& options);

// The time limit for each call of the Lease's client: a renewal begins retry_period after the last,
// and what is left until the deadline is for two calls.
std::chrono::milliseconds RequestTimeout(std::chrono::milliseconds renew_deadline,
                                         std::chrono::milliseconds retry_period);

// None may throw.
struct Callbacks {
  std::function<void()> on_acquired;
  std::function<void(const base::Status& why)> on_lost;
  // Must not return in production: the process has to end now.
  std::function<void()> on_overdue;
};

class Elector {
 public:
  Elector(Options options, client::Reader& reader, client::Writer& writer, base::Clock& clock,
          base::metrics::Registry& registry, Callbacks callbacks);
  ~Elector();  // Stop()
  Elector(const Elector&) = delete;
  Elector& operator=(const Elector&) = delete;

  void Start();
  void Stop();
  bool leading() const;
  std::string holder() const;  // as last seen; empty when unknown or nobody

 private:
  enum class State { kStandby, kLeading, kLost, kStopped };

  void Run();
  void Watch();
  // One attempt; returns when to try again.
  base::MonoTime Attempt();
  base::Status TakeOrRenew(base::MonoTime sent);
  void Observe(const meta::Object& lease);
  void Acquired(base::MonoTime sent);
  void Lose(base::Status why);
  void Release();
  void Sleep(base::MonoTime until);

  const Options options_;
  const Terms terms_;
  client::Reader& reader_;
  client::Writer& writer_;
  base::Clock& clock_;
  const Callbacks callbacks_;
  base::metrics::Gauge& master_;
  base::metrics::Counter& slow_renewals_;

  // The renewing thread's own (Release runs after it was joined):
  std::unique_ptr<nlohmann::json> lease_;  // as last read or written, null when there is none
  Record record_;
  base::MonoTime seen_at_{};
  std::optional<base::MonoTime> wait_until_;

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  // Guarded by mutex_:
  State state_ = State::kStandby;
  bool stopping_ = false;
  base::MonoTime sent_{};  // t of the invariants
  std::string holder_;

  std::thread renewer_;
  std::thread watchdog_;
};

}  // namespace sluice::leader
