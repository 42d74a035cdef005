// The process around the reconcilers: informers, controllers, leader election, health and metrics,
// started in order and stopped in order (stop intake, drain, join).
//
//   Manager manager(options, client);
//   manager.NewController("site", kSites, site_reconciler)
//       .Owns(kDaemonSets)
//       .Watches(kTenants, [](const Event& e) { return SitesOfTenant(e); })
//       .Workers(4);
//   return manager.Run(stop);   // blocks
//
// Thread rule: build on one thread, then Run. Stores may be read from any thread after synced.
#pragma once

#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "controller/base/clock.h"
#include "controller/base/status.h"
#include "controller/cache/store.h"
#include "controller/client/client.h"
#include "controller/reconcile/reconcile.h"

namespace sluice::runtime {

struct Options {
  std::string name;      // "sluice-controller": field manager, event source
  std::string identity;  // of this replica: pod name
  std::string lease_namespace;
  std::string lease_name;  // empty: no election, always leading
  std::chrono::milliseconds lease_duration{15000};
  std::chrono::milliseconds renew_deadline{10000};
  std::chrono::milliseconds retry_period{2000};
  std::string metrics_address = "0.0.0.0:8080";  // /metrics and /debug
  std::string health_address = "0.0.0.0:8081";   // /healthz and /readyz
  // Called when this replica starts to lead, before any reconciler runs; an error gives the lease
  // up.
  std::function<base::Status()> on_lead;
};

// Which keys of the controller's kind a change elsewhere concerns. Pure, must not block.
using Mapper = std::function<std::vector<meta::Key>(const cache::Event&)>;
// Whether an event matters. Default for the controller's own kind: spec, labels, annotations or
// finalizers changed (never a status-only change: no hot loop on own writes).
using Predicate = std::function<bool(const cache::Event&)>;

class ControllerBuilder {
 public:
  virtual ~ControllerBuilder() = default;
  virtual ControllerBuilder& Owns(const meta::Resource& resource) = 0;  // by controller ownerRef
  virtual ControllerBuilder& Watches(const meta::Resource& resource, Mapper mapper) = 0;
  virtual ControllerBuilder& When(Predicate predicate) = 0;  // for its own kind
  virtual ControllerBuilder& Workers(int count) = 0;
  virtual ControllerBuilder& NeedsNoLeader() = 0;
};

// Puts a key of one controller into its queue from outside the watch (a fleet event, a timer).
using Trigger = std::function<void(const meta::Key&)>;

class Manager {
 public:
  static std::unique_ptr<Manager> New(Options options, client::Client& client, base::Clock& clock);
  virtual ~Manager() = default;

  struct StoreOptions {
    std::string ns;              // empty: all namespaces
    std::string label_selector;  // Secrets and Pods must be narrowed by one of the two
    bool metadata_only = false;
  };
  // The store of a kind; made, and its informer started by Run, on first use.
  virtual cache::Store& StoreOf(const meta::Resource& resource) = 0;
  virtual cache::Store& StoreOf(const meta::Resource& resource, const StoreOptions& options) = 0;
  virtual void AddIndex(const meta::Resource& resource, std::string index,
                        cache::IndexFunction function) = 0;

  virtual ControllerBuilder& NewController(std::string name, const meta::Resource& resource,
                                           std::shared_ptr<reconcile::Reconciler> reconciler) = 0;
  virtual Trigger TriggerOf(const std::string& controller) = 0;

  // A named check of /readyz; OK means ready.
  virtual void AddReadyCheck(std::string name, std::function<base::Status()> check) = 0;
  virtual bool leading() const = 0;

  // Runs until `stop` is requested (OK) or leadership is lost (Aborted: the process must end).
  virtual base::Status Run(std::stop_token stop) = 0;
};

}  // namespace sluice::runtime
