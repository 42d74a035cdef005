// The tenants of a site, read from caches: who applies, who is bound, with which keys.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "controller/base/status.h"
#include "controller/cache/store.h"
#include "controller/meta/object.h"
#include "reconcilers/common/binding.h"
#include "reconcilers/common/credentials.h"

namespace sluice::v1alpha1 {
class StagePlan;
class Tenant;
}  // namespace sluice::v1alpha1

namespace sluice::common {

// The index of the tenants' store by the sites they name.
inline constexpr const char* kTenantsBySite = "site";
std::vector<std::string> SitesOfTenant(const meta::Object& tenant);

struct SiteTenants {
  std::vector<Binding> bindings;  // in the order of the places
  std::map<std::string, std::shared_ptr<const v1alpha1::Tenant>> tenants;
};

// `stage`: the one the site has reached. `plan`: nullptr when it is missing.
SiteTenants ReadTenants(const std::string& site, const std::string& stage,
                        const v1alpha1::StagePlan* plan, const cache::Store& tenants);

// The plan of a class, nullptr when either is missing or does not read.
std::shared_ptr<const v1alpha1::StagePlan> PlanOfClass(const std::string& site_class,
                                                       const cache::Store& classes,
                                                       const cache::Store& plans);

// The keys a tenant signs with. Errors: as SecretReader::Get and ParseS3Keys; PermissionDenied when
// the Secret is not labelled for the tenant.
base::StatusOr<std::vector<S3Keys>> KeysOfTenant(const std::string& name,
                                                 const v1alpha1::Tenant& tenant,
                                                 SecretReader& secrets);

// Whether a look at a tenant's Secret (KeysOfTenant) says that its keys shall be used no more: the
// Secret is gone, or may not be used. Anything else, a malformed Secret or an API server that does
// not answer, is no word of the tenant's: keys that worked stay in force.
bool IsWithdrawn(const base::Status& credentials);

// The condition of a Tenant about a site that remembers, across restarts of the controller, that
// the site's agents have keys of the tenant. Written by the tenant's reconciler.
inline constexpr std::string_view kKeysInForce = "KeysInForce";
bool AreKeysInForce(const v1alpha1::Tenant& tenant, const std::string& site);

}  // namespace sluice::common
