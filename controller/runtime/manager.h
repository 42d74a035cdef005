// The process around the reconcilers: informers, controllers, leader election, health and metrics,
// started in order and stopped in order (stop intake, drain, join).
//
//   SLUICE_ASSIGN_OR_RETURN(const auto manager, Manager::New(options, config, clock));
//   manager->NewController("site", kSites, site_reconciler)
//       .Owns(kDaemonSets)
//       .Watches(kTenants, [](const cache::Event& event) { return SitesOfTenant(event); })
//       .Workers(4);
//   return manager->Run(stop);  // blocks
//
// Whole, with its reconciler and its main: docs/examples/controller/main.cc.
//
// Order of Run: pages, caches, (synced) controllers that need no leader, election, on_lead, the
// other controllers. A replica that does not lead keeps its caches warm and queues nothing: on
// taking the lead it looks at every object once, at low priority. Order of stop: workers, lease
// (given back), events, caches, pages. Calls of a stop that takes longer than call_grace are called
// off; if it takes longer than stop_deadline, or work has not stopped by the time another replica
// could lead, `end_process` is called.
//
// Thread rule: build on one thread, then Run. Stores may be read from any thread after synced;
// StoreOf may also be called while running, and then starts its informer at once.
#pragma once

#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "controller/base/clock.h"
#include "controller/base/metrics.h"
#include "controller/base/status.h"
#include "controller/cache/informer.h"
#include "controller/cache/store.h"
#include "controller/client/client.h"
#include "controller/reconcile/reconcile.h"
#include "controller/recorder/recorder.h"
#include "controller/runtime/limits.h"

namespace sluice::runtime {

struct Options {
  // Of the whole program, as Events name it (reportingController), with its domain:
  // "example.com/widget-controller".
  std::string name;
  std::string identity;  // of this replica, unlike any other's: process.h makes one
  std::string lease_namespace;
  std::string lease_name;  // empty: no election, always leading
  std::chrono::milliseconds lease_duration{15000};
  std::chrono::milliseconds renew_deadline{10000};
  std::chrono::milliseconds retry_period{2000};
  // What the lease is read and written with: a client of its own (NewLeaseClient), so that a call
  // that hangs does not cost the lead. nullptr: a Manager that makes its clients makes this one,
  // too; one that is given its client uses that, for tests and where nothing is at stake.
  client::Client* lease_client = nullptr;
  std::string metrics_address = "0.0.0.0:8080";  // /metrics; empty: none
  std::string health_address = "0.0.0.0:8081";   // /healthz and /readyz; empty: none
  // /debug: queues, caches, last errors. Unauthenticated, so it belongs on loopback, where only
  // whoever may port-forward or exec into the pod reaches it. Empty: none.
  std::string debug_address;
  int workers = 1;  // of a controller whose builder does not say
  // Caches begin with what the API server's own cache holds, which comes at once but may lag:
  // cache/informer.h. For controllers that tolerate acting on an older state after a restart.
  bool start_from_server_cache = false;
  // Called once, when every cache is synced and before anything is reconciled; on a standby, too.
  // Must not block.
  std::function<void()> on_synced;
  // Called when this replica holds the lease, before any reconciler runs; an error gives the lease
  // up, and this replica stands again after lease_duration.
  std::function<base::Status()> on_lead;
  // Shared with the client's metrics; nullptr: the Manager's own.
  base::metrics::Registry* registry = nullptr;
  std::chrono::milliseconds stop_deadline{kStopDeadline};
  // Of calls under way when a stop is asked for; then the client is stopped, but not lease_client,
  // which still gives the lease back.
  std::chrono::milliseconds call_grace{kCallGrace};
  // Called with it, for calls of other clients that reconcilers make; nullptr: there are none.
  std::function<void()> on_grace_over;
  // Ends the process at once, without destructors; nullptr: _exit(1). Tests observe it.
  std::function<void(std::string_view why)> end_process;
};

// Which keys of the controller's kind a change elsewhere concerns. Pure, must not block.
using Mapper = std::function<std::vector<meta::Key>(const cache::Event&)>;
// Whether an event matters. Default for the controller's own kind: spec, labels, annotations or
// finalizers changed (never a status-only change: no hot loop on own writes); see predicates.h.
using Predicate = std::function<bool(const cache::Event&)>;

// Which part of a kind a store keeps.
struct StoreOptions {
  std::string ns;  // empty: all namespaces
  std::string label_selector;
  std::string field_selector;
  bool metadata_only = false;
  // Secrets and Pods must be narrowed by what they must be (cache/scope.h), or wanted all in so
  // many words; else Run returns InvalidArgument.
  bool all_secrets_or_pods = false;
  friend bool operator==(const StoreOptions&, const StoreOptions&) = default;
};

// What a part of a program shows on /debug.
using DebugFunction = std::function<nlohmann::json()>;

class ControllerBuilder {
 public:
  virtual ~ControllerBuilder() = default;
  virtual ControllerBuilder& Owns(const meta::Resource& resource) = 0;  // by controller ownerRef
  virtual ControllerBuilder& Watches(const meta::Resource& resource, Mapper mapper) = 0;
  virtual ControllerBuilder& Watches(const meta::Resource& resource, const StoreOptions& options,
                                     Mapper mapper) = 0;
  // Owned objects in a narrowed store (by label, say).
  virtual ControllerBuilder& Owns(const meta::Resource& resource, const StoreOptions& options) = 0;
  virtual ControllerBuilder& When(Predicate predicate) = 0;  // for its own kind
  virtual ControllerBuilder& Workers(int count) = 0;
  // Grows up to `most` while all of Workers() are busy: reconcile/controller.h. For reconcilers
  // that wait for several servers, of which some may be silent.
  virtual ControllerBuilder& GrowsTo(int most) = 0;
  virtual ControllerBuilder& NeedsNoLeader() = 0;
};

// Puts a key of one controller into its queue from outside the watch (a fleet event, a timer).
using Trigger = std::function<void(const meta::Key&)>;

class Manager {
 public:
  // With clients of its own for that cluster. Errors: client::NewClient's.
  static base::StatusOr<std::unique_ptr<Manager>> New(Options options, const client::Config& config,
                                                      base::Clock& clock);
  // With a client that the program uses elsewhere, too; it and options.lease_client must outlive
  // the Manager.
  static std::unique_ptr<Manager> New(Options options, client::Client& client, base::Clock& clock);
  virtual ~Manager() = default;

  // What every store of the kind keeps of its objects (cache/informer.h): before the first of them
  // is made, so that there never is one that keeps more. Once a kind.
  virtual void Prune(const meta::Resource& resource, cache::PruneFunction function) = 0;

  using StoreOptions = runtime::StoreOptions;
  // The store of a kind; made, and its informer started by Run, on first use.
  virtual cache::Store& StoreOf(const meta::Resource& resource) = 0;
  virtual cache::Store& StoreOf(const meta::Resource& resource, const StoreOptions& options) = 0;
  virtual void AddIndex(const meta::Resource& resource, std::string index,
                        cache::IndexFunction function) = 0;
  virtual void AddIndex(const meta::Resource& resource, const StoreOptions& options,
                        std::string index, cache::IndexFunction function) = 0;

  virtual ControllerBuilder& NewController(std::string name, const meta::Resource& resource,
                                           std::shared_ptr<reconcile::Reconciler> reconciler) = 0;
  // The same for a narrowed store of its own kind.
  virtual ControllerBuilder& NewController(std::string name, const meta::Resource& resource,
                                           const StoreOptions& options,
                                           std::shared_ptr<reconcile::Reconciler> reconciler) = 0;
  virtual Trigger TriggerOf(const std::string& controller) = 0;
  // One for what many say of a key, at most a look each `interval`: gather.h.
  virtual Trigger GatheringTriggerOf(const std::string& controller, base::Duration interval) = 0;
  // Has a controller look once more at every object of its store, behind what changes meanwhile.
  // From any thread; nothing happens before it is active. For whatever no watch tells.
  virtual void LookAtAll(const std::string& controller) = 0;

  // A named check of /readyz; OK means ready.
  virtual void AddReadyCheck(std::string name, std::function<base::Status()> check) = 0;
  // A part of /debug of that name, made when it is asked for; must not block. Before Run.
  virtual void AddDebug(std::string name, DebugFunction show) = 0;
  // False at once when the lease could not be renewed in time, whatever threads still do.
  virtual bool leading() const = 0;
  // The client to hand to reconcilers that need the lead: as Manager::New's, but writes fail with
  // Aborted (reason "NotLeading") unless this replica holds the lease.
  virtual client::Client& fenced_client() = 0;
  virtual recorder::Recorder& recorder() = 0;
  virtual base::metrics::Registry& metrics() = 0;
  // Ports the pages are served on, after they started; 0 when there are none.
  virtual int metrics_port() const = 0;
  virtual int health_port() const = 0;
  virtual int debug_port() const = 0;

  // Runs until `stop` is requested (OK) or leadership is lost (Aborted: the process must end).
  // InvalidArgument: a store that cannot be made (StoreOptions).
  virtual base::Status Run(std::stop_token stop) = 0;
};

// For Options::lease_client: one whose calls end within leader::RequestTimeout.
// Errors: client::NewClient's.
base::StatusOr<std::unique_ptr<client::Client>> NewLeaseClient(
    const client::Config& config, base::Clock& clock, std::chrono::milliseconds renew_deadline,
    std::chrono::milliseconds retry_period);

}  // namespace sluice::runtime
