#include "reconcilers/tenant/register.h"

#include <memory>
#include <nlohmann/json.hpp>
#include <set>

#include "api/v1alpha1/stage_plan.pb.h"
#include "api/v1alpha1/tenant.pb.h"
#include "controller/runtime/predicates.h"
#include "reconcilers/common/applier.h"
#include "reconcilers/common/decode.h"
#include "reconcilers/common/resources.h"
#include "reconcilers/common/tenants.h"
#include "reconcilers/tenant/status.h"

namespace sluice::tenant {
namespace {

// How often a Secret in the tenant's namespace, which is not watched, is looked at again.
constexpr std::chrono::seconds kLookAgain{15};

class TenantReconciler final : public reconcile::Reconciler {
 public:
  TenantReconciler(runtime::Manager& manager, const Deps& deps)
      : tenants_(manager.StoreOf(common::kTenants)),
        sites_(manager.StoreOf(common::kSites)),
        classes_(manager.StoreOf(common::kSiteClasses)),
        plans_(manager.StoreOf(common::kStagePlans)),
        secrets_(deps.secrets),
        clock_(deps.clock),
        applier_(deps.api, "sluice-tenant") {}

  reconcile::Result Reconcile(const reconcile::Request& request, std::stop_token) override {
    const meta::ObjectPtr object = tenants_.Get(request.key);
    if (object == nullptr) {
      applier_.Forget(common::kTenants, request.key);
      return reconcile::Result::Done();
    }
    if (object->deleting()) return reconcile::Result::Done();
    auto tenant = common::Decode<v1alpha1::Tenant>(*object);
    if (!tenant.ok()) return reconcile::Result::Terminal(tenant.status());
    Facts facts;
    facts.credentials = common::KeysOfTenant(request.key.name, **tenant, secrets_).status();
    for (const std::string& site : common::SitesOfTenant(*object))
      FindPlace(site, request.key, facts);
    const auto written =
        applier_.ApplyStatus(common::kTenants, *object, BuildStatus(*object, facts, clock_.Wall()));
    if (!written.ok()) return reconcile::Result::Retry(written.status());
    return reconcile::Result::After(kLookAgain);
  }

 private:
  void FindPlace(const std::string& name, const meta::Key& tenant, Facts& facts) const {
    const meta::ObjectPtr site = sites_.Get({"", name});
    if (site == nullptr) return;
    const nlohmann::json json = site->ToJson();
    const auto at = [&](const char* pointer) {
      return json.value(nlohmann::json::json_pointer(pointer), std::string());
    };
    const auto plan = common::PlanOfClass(at("/spec/classRef/name"), classes_, plans_);
    const common::SiteTenants all =
        common::ReadTenants(name, at("/status/stage"), plan.get(), tenants_);
    for (const common::Binding& binding : all.bindings) {
      if (binding.tenant == tenant.name) facts.sites.emplace(name, binding);
    }
  }

  cache::Store& tenants_;
  cache::Store& sites_;
  cache::Store& classes_;
  cache::Store& plans_;
  common::SecretReader& secrets_;
  base::Clock& clock_;
  common::Applier applier_;
};

// The tenants of these sites: when one comes or goes, the places of the others change.
std::vector<meta::Key> Neighbours(const cache::Store& tenants, const std::set<std::string>& sites) {
  std::set<meta::Key> keys;
  for (const std::string& site : sites) {
    for (const meta::ObjectPtr& tenant : tenants.ByIndex(common::kTenantsBySite, site)) {
      keys.insert(tenant->key());
    }
  }
  return {keys.begin(), keys.end()};
}

}  // namespace

void Register(runtime::Manager& manager, const Deps& deps) {
  const cache::Store* tenants = &manager.StoreOf(common::kTenants);
  const nlohmann::json::json_pointer stage("/status/stage");
  const auto all = [tenants](const cache::Event& event) {
    return runtime::SpecChanged(event) ? tenants->Keys() : std::vector<meta::Key>();
  };
  manager
      .NewController("tenant", common::kTenants, std::make_shared<TenantReconciler>(manager, deps))
      .Watches(common::kTenants,
               [tenants](const cache::Event& event) {
                 if (!runtime::SpecChanged(event)) return std::vector<meta::Key>();
                 std::set<std::string> sites;
                 for (const meta::ObjectPtr& tenant : {event.before, event.after}) {
                   if (tenant == nullptr) continue;
                   for (std::string& site : common::SitesOfTenant(*tenant))
                     sites.insert(std::move(site));
                 }
                 return Neighbours(*tenants, sites);
               })
      .Watches(common::kSites,
               [tenants, stage](const cache::Event& event) {
                 if (!runtime::SpecChanged(event) && event.before->ToJson().value(stage, "") ==
                                                         event.after->ToJson().value(stage, "")) {
                   return std::vector<meta::Key>();
                 }
                 const meta::Object& site = event.after != nullptr ? *event.after : *event.before;
                 return Neighbours(*tenants, {std::string(site.name())});
               })
      .Watches(common::kSiteClasses, all)
      .Watches(common::kStagePlans, all)
      .Watches(common::kSecrets, {.ns = deps.secrets.own_namespace()},
               [tenants](const cache::Event&) { return tenants->Keys(); });
}

}  // namespace sluice::tenant
