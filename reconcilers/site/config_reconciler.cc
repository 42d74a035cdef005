#include "reconcilers/site/config_reconciler.h"

#include "api/agent/v1/agent.pb.h"

namespace sluice::site {

Derived DerivedConfigs::Get(const std::string& site) const {
  const std::lock_guard lock(mutex_);
  const auto found = derived_.find(site);
  if (found != derived_.end()) return found->second;
  Derived none;
  none.status = base::Unavailable("the configuration was not derived yet");
  return none;
}

void DerivedConfigs::Put(const std::string& site, Derived derived) {
  const std::lock_guard lock(mutex_);
  derived_[site] = std::move(derived);
}

void DerivedConfigs::Erase(const std::string& site) {
  const std::lock_guard lock(mutex_);
  derived_.erase(site);
}

reconcile::Result ConfigReconciler::Reconcile(const reconcile::Request& request, std::stop_token) {
  const std::string& name = request.key.name;
  const meta::ObjectPtr object = stores_.sites.Get(request.key);
  if (object == nullptr) {
    derived_.Erase(name);
    if (clusters_ != nullptr) clusters_->Forget(name);
    {
      const std::lock_guard lock(mutex_);
      last_good_.erase(name);
    }
    const base::Status retired = publisher_.Retire(name);
    return retired.ok() ? reconcile::Result::Done() : reconcile::Result::Retry(retired);
  }
  if (clusters_ != nullptr) clusters_->Follow(*object);
  if (object->deleting()) return reconcile::Result::Done();  // the site reconciler retires it
  auto in = ReadInputs(object, stores_, secrets_);
  if (!in.ok()) return reconcile::Result::Terminal(in.status());
  RememberKeys(name, *in);
  Derived derived;
  {
    const std::lock_guard lock(mutex_);
    derived = DeriveConfig(*in, last_good_[name]);
  }
  derived_.Put(name, derived);
  if (derived.status.ok()) {
    agents::SiteContent content;
    content.config = derived.config.get();
    content.credentials = derived.credentials.get();
    const auto published = publisher_.Publish(name, content);
    if (!published.ok()) return reconcile::Result::Retry(published.status());
  }
  changed_(request.key);
  return reconcile::Result::After(kLookAgain);
}

void ConfigReconciler::RememberKeys(const std::string& site, const Inputs& in) {
  const std::lock_guard lock(mutex_);
  auto& good = last_good_[site];
  // A tenant that left takes its keys along: one of the same name later is somebody else.
  std::erase_if(good, [&](const auto& entry) { return !in.tenant_keys.contains(entry.first); });
  for (const auto& [tenant, keys] : in.tenant_keys) {
    if (keys.ok()) {
      good[tenant] = *keys;
    } else if (common::IsWithdrawn(keys.status())) {
      good.erase(tenant);  // taken away on purpose
    }
  }
}

}  // namespace sluice::site
