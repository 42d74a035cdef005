// The worker loop of one controller: queue -> reconciler -> one switch -> queue and metrics.
//
// A reconciler may wait for a server that does not answer. Where it works with several (other
// clusters), workers may grow from `least` to `most`, so that whoever hangs a free one is left
// (base/growing_threads.h). How many wait for one server is the reconciler's to bound.
//
// Thread rule: Start and Stop from the owner's thread; queue() from any thread. Stop order: the
// reconcilers' stop token is requested, the queue hands nothing out any more, the workers are
// joined. A reconciler that does not return holds Stop up; `workqueue_longest_running_processor_
// seconds` shows it, and the process's own stop deadline ends it.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <vector>

#include "controller/base/clock.h"
#include "controller/base/growing_threads.h"
#include "controller/base/metrics.h"
#include "controller/reconcile/reconcile.h"
#include "controller/workqueue/workqueue.h"

namespace sluice::reconcile {

struct ControllerOptions {
  std::string name;
  std::string kind;  // for log lines: "Site"
  workqueue::Options queue;
  // Asked while a key waits for this replica's cache to hold our own last write; true delays it.
  // The Manager asks its own kind's store; a reconciler that decides on what it writes besides asks
  // those stores itself.
  std::function<bool(const meta::Key&)> is_stale;
  // Called on a worker after each key: may put more keys in while few wait. Cheap when there are
  // none.
  std::function<void()> refill;
  // Called on a worker each time a reconcile failed because the process lacks a right (403). What
  // the error names is for people; the reconciler may be unable to write it into the object.
  std::function<void(const meta::Key&, const base::Status&)> on_forbidden;
  // Called on a worker once a queue that had refused keys is empty again: add every key anew.
  std::function<void()> relist;
};

// The last error of a key, for /debug; forgotten when the key succeeds. Bounded.
struct LastError {
  std::string key;
  std::string error;
  base::WallTime at;
};

class Controller {
 public:
  Controller(ControllerOptions options, std::shared_ptr<Reconciler> reconciler, base::Clock& clock,
             base::metrics::Registry& registry);
  ~Controller();  // Stop()
  Controller(const Controller&) = delete;
  Controller& operator=(const Controller&) = delete;

  void Start(int workers = 1) { Start(workers, workers); }
  void Start(int least, int most);
  // Asks the reconcilers to return and hands no key out any more; Stop() without the joining.
  void RequestStop();
  void Stop();

  workqueue::Workqueue& queue() { return queue_; }
  const std::string& name() const { return options_.name; }
  std::vector<LastError> LastErrors() const;
  // One of what decides over its keys threw (a mapper, a predicate): counted with its rounds that
  // did.
  void CountException() { exceptions_.Add(); }

  // One turn of the loop without waiting, for tests: false when nothing was due.
  bool RunOne();

 private:
  void Work(base::GrowingThreads::Self& self);
  void Handle(const workqueue::Item& item);
  Result Call(const Request& request);
  workqueue::Backoff Settle(const workqueue::Item& item, const Result& result);
  void Remember(const meta::Key& key, const base::Status* error);
  void TellForbidden(const meta::Key& key, const base::Status& error) const;

  const ControllerOptions options_;
  const std::shared_ptr<Reconciler> reconciler_;
  base::Clock& clock_;
  workqueue::Workqueue queue_;
  std::stop_source stop_;
  std::atomic<std::uint64_t> sequence_{0};
  std::uint64_t id_base_;
  std::atomic<std::uint64_t> refused_seen_{0};

  mutable std::mutex errors_mutex_;
  std::vector<LastError> errors_;  // guarded by errors_mutex_
  std::atomic<bool> has_errors_{false};

  base::metrics::Counter& success_;
  base::metrics::Counter& requeue_after_;
  base::metrics::Counter& error_;
  base::metrics::Counter& errors_total_;
  base::metrics::Counter& terminal_errors_;
  base::metrics::Counter& exceptions_;
  base::metrics::Histogram& seconds_;
  base::metrics::Gauge& active_;
  base::metrics::Gauge& max_workers_;
  base::GrowingThreads workers_;  // the last to be made
};

}  // namespace sluice::reconcile
