// One registered controller: its queue and workers, what it watches, how events become keys.
//
// While it is not active (this replica does not lead) events are dropped: Activate() adds every key
// of its store, so nothing is missed. Activate comes at most once.
//
// Invariant: a key of the backlog is in the queue before the last waiting one was handled. All keys
// of a store go through the backlog, a slice at a time, so that a start does not build a queue of
// the store's size.
//
// A mapper that throws might have named any key: all are looked at, each at most once in
// kWholeLookPeriod, and then after the event (gather.h): no wake-up is lost.
// A predicate that throws lets the event through. Both are counted in
// controller_runtime_reconcile_panics_total.
//
// Thread rule: the builder's methods before Run, on the building thread; OnEvent from informers'
// threads; Activate, RequestStop and Stop from the Manager's.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "controller/cache/guard.h"
#include "controller/reconcile/controller.h"
#include "controller/runtime/gather.h"
#include "controller/runtime/manager.h"

namespace sluice::runtime {

class ControllerEntry final : public ControllerBuilder {
 public:
  // How the entry finds stores and hears their events; the Manager gives both.
  struct Wiring {
    std::function<cache::Store&(const meta::Resource&, const StoreOptions&)> store_of;
    std::function<void(const meta::Resource&, const StoreOptions&, cache::EventHandler)> subscribe;
    // Tells about an object of the entry's kind that the API server forbids what it needs.
    std::function<void(const meta::Resource&, const meta::Object&, const base::Status&)> forbidden;
  };

  ControllerEntry(std::string name, meta::Resource resource, const StoreOptions& options,
                  std::shared_ptr<reconcile::Reconciler> reconciler, Wiring wiring,
                  base::Clock& clock, base::metrics::Registry& registry);

  ControllerBuilder& Owns(const meta::Resource& resource) override { return Owns(resource, {}); }
  ControllerBuilder& Owns(const meta::Resource& resource, const StoreOptions& options) override;
  ControllerBuilder& Watches(const meta::Resource& resource, Mapper mapper) override {
    return Watches(resource, {}, std::move(mapper));
  }
  ControllerBuilder& Watches(const meta::Resource& resource, const StoreOptions& options,
                             Mapper mapper) override;
  ControllerBuilder& When(Predicate predicate) override;
  ControllerBuilder& Workers(int count) override;
  ControllerBuilder& GrowsTo(int most) override;
  ControllerBuilder& NeedsNoLeader() override;

  void Activate();
  void RequestStop() { controller_.RequestStop(); }
  void Stop() { controller_.Stop(); }
  // A key from outside the watches, to be looked at after `wait`; dropped while not active.
  void Enqueue(const meta::Key& key, base::Duration wait = {});
  // Every key of its store, at low priority; nothing while not active.
  void LookAtAll();

  bool active() const { return active_; }
  bool needs_leader() const { return needs_leader_; }
  const std::string& name() const { return controller_.name(); }
  reconcile::Controller& controller() { return controller_; }

 private:
  void OnOwnEvent(const cache::Event& event);
  void OnOtherEvent(const cache::Event& event, const Mapper& map, std::string_view what);
  // False when `call` threw.
  template <typename Function>
  bool Guarded(std::string_view what, const cache::Event& event, Function&& call);
  void AddAll();
  void OnForbidden(const meta::Key& key, const base::Status& error) const;
  // Moves a slice of the backlog into the queue when few keys wait there.
  void Refill();

  const meta::Resource resource_;
  const Wiring wiring_;
  cache::Store& store_;
  Predicate predicate_;
  int workers_ = 1;
  int most_workers_ = 1;
  bool needs_leader_ = true;
  std::atomic<bool> active_{false};
  std::atomic<bool> has_backlog_{false};
  std::mutex backlog_mutex_;
  std::vector<meta::Key> backlog_;  // guarded by backlog_mutex_
  Gather whole_looks_;              // that a mapper's exceptions lead to
  cache::Guard guard_;
  reconcile::Controller controller_;
};

}  // namespace sluice::runtime
