#include "controller/runtime/controller_entry.h"

#include <algorithm>
#include <span>

#include "controller/base/check.h"
#include "controller/runtime/limits.h"
#include "controller/runtime/predicates.h"

namespace sluice::runtime {

using workqueue::Priority;

namespace {

Priority PriorityOf(const cache::Event& event) {
  return event.initial ? Priority::kLow : Priority::kNormal;
}

const meta::Object& ObjectOf(const cache::Event& event) {
  return event.after != nullptr ? *event.after : *event.before;
}

}  // namespace

ControllerEntry::ControllerEntry(std::string name, meta::Resource resource,
                                 const StoreOptions& options,
                                 std::shared_ptr<reconcile::Reconciler> reconciler, Wiring wiring,
                                 base::Clock& clock, base::metrics::Registry& registry)
    : resource_(std::move(resource)),
      wiring_(std::move(wiring)),
      store_(wiring_.store_of(resource_, options)),
      predicate_(SpecOrMetadataChanged),
      whole_looks_(kWholeLookPeriod, clock),
      guard_("controller " + name),
      controller_({.name = std::move(name),
                   .kind = resource_.kind,
                   .is_stale = [this](const meta::Key& key) { return store_.IsStale(key); },
                   .refill = [this] { Refill(); },
                   .on_forbidden = [this](const meta::Key& key,
                                          const base::Status& error) { OnForbidden(key, error); },
                   .relist = [this] { AddAll(); }},
                  std::move(reconciler), clock, registry) {
  wiring_.subscribe(resource_, options, [this](const cache::Event& event) { OnOwnEvent(event); });
}

template <typename Function>
bool ControllerEntry::Guarded(std::string_view what, const cache::Event& event, Function&& call) {
  const bool returned = guard_.Call(what, &ObjectOf(event), std::forward<Function>(call));
  if (!returned) controller_.CountException();
  return returned;
}

void ControllerEntry::OnOwnEvent(const cache::Event& event) {
  if (!active_) return;
  bool matters = true;
  Guarded("predicate", event, [&] { matters = predicate_(event); });
  if (matters) controller_.queue().Add(ObjectOf(event).key(), PriorityOf(event));
}

void ControllerEntry::OnOtherEvent(const cache::Event& event, const Mapper& map,
                                   std::string_view what) {
  std::vector<meta::Key> keys;
  if (Guarded(what, event, [&] { keys = map(event); })) {
    for (const meta::Key& key : keys) controller_.queue().Add(key, PriorityOf(event));
    return;
  }
  for (const meta::Key& key : store_.Keys()) {
    controller_.queue().AddAfter(key, whole_looks_.WaitFor(key), Priority::kLow);
  }
}

void ControllerEntry::OnForbidden(const meta::Key& key, const base::Status& error) const {
  const meta::ObjectPtr object = store_.Get(key);
  if (object != nullptr && wiring_.forbidden) wiring_.forbidden(resource_, *object, error);
}

ControllerBuilder& ControllerEntry::Owns(const meta::Resource& resource,
                                         const StoreOptions& options) {
  return Watches(resource, options, [owner = resource_](const cache::Event& event) {
    return ControllingOwners(owner, event);
  });
}

ControllerBuilder& ControllerEntry::Watches(const meta::Resource& resource,
                                            const StoreOptions& options, Mapper mapper) {
  wiring_.subscribe(resource, options,
                    [this, map = std::move(mapper),
                     what = "mapper of " + resource.GroupResource()](const cache::Event& event) {
                      if (active_) OnOtherEvent(event, map, what);
                    });
  return *this;
}

ControllerBuilder& ControllerEntry::When(Predicate predicate) {
  predicate_ = std::move(predicate);
  return *this;
}

ControllerBuilder& ControllerEntry::Workers(int count) {
  workers_ = count;
  return *this;
}

ControllerBuilder& ControllerEntry::GrowsTo(int most) {
  most_workers_ = most;
  return *this;
}

ControllerBuilder& ControllerEntry::NeedsNoLeader() {
  needs_leader_ = false;
  return *this;
}

void ControllerEntry::Enqueue(const meta::Key& key, base::Duration wait) {
  if (active_) controller_.queue().AddAfter(key, wait);
}

void ControllerEntry::LookAtAll() {
  if (active_) AddAll();
}

void ControllerEntry::AddAll() {
  {
    const std::lock_guard lock(backlog_mutex_);
    backlog_ = store_.Keys();  // covers what was left of an earlier one
    has_backlog_ = !backlog_.empty();
  }
  Refill();
}

void ControllerEntry::Refill() {
  if (!has_backlog_.load(std::memory_order_relaxed)) return;
  if (controller_.queue().depth() >= kBacklogSlice / 2) return;
  const std::lock_guard lock(backlog_mutex_);
  const std::size_t kept = backlog_.size() - std::min(backlog_.size(), kBacklogSlice);
  controller_.queue().AddMany(std::span(backlog_).subspan(kept), Priority::kLow);
  backlog_.resize(kept);
  if (kept > 0) return;
  backlog_ = {};
  has_backlog_ = false;
}

void ControllerEntry::Activate() {
  SLUICE_CHECK(!active_);
  active_ = true;  // before the list, so that no change falls between the two
  AddAll();
  controller_.Start(workers_, std::max(workers_, most_workers_));
}

}  // namespace sluice::runtime
