#include "reconcilers/common/tenants.h"

#include <fmt/format.h>

#include "api/types/conditions.h"
#include "api/types/kinds.h"
#include "api/v1alpha1/stage_plan.pb.h"
#include "api/v1alpha1/tenant.pb.h"
#include "reconcilers/common/decode.h"

namespace sluice::common {
namespace {

bool IsTrueAbout(const v1alpha1::Tenant& tenant, const std::string& site,
                 std::string_view condition) {
  for (const v1alpha1::TenantSiteStatus& status : tenant.status().sites()) {
    if (status.name() == site) return types::IsConditionTrue(status.conditions(), condition);
  }
  return false;
}

}  // namespace

std::vector<std::string> SitesOfTenant(const meta::Object& tenant) {
  const nlohmann::json sites =
      tenant.ToJson().value(nlohmann::json::json_pointer("/spec/sites"), nlohmann::json::array());
  std::vector<std::string> out;
  for (const auto& site : sites) {
    if (site.is_string()) out.push_back(site.get<std::string>());
  }
  return out;
}

SiteTenants ReadTenants(const std::string& site, const std::string& stage,
                        const v1alpha1::StagePlan* plan, const cache::Store& tenants) {
  const nlohmann::json::json_pointer created("/metadata/creationTimestamp");
  SiteTenants out;
  std::vector<Applicant> applicants;
  for (const meta::ObjectPtr& object : tenants.ByIndex(kTenantsBySite, site)) {
    if (object->deleting()) continue;
    auto tenant = Decode<v1alpha1::Tenant>(*object);
    if (!tenant.ok()) continue;
    const std::string name(object->name());
    applicants.push_back(
        {name, object->ToJson().value(created, ""), IsTrueAbout(**tenant, site, "Bound")});
    out.tenants.emplace(name, *tenant);
  }
  out.bindings = BindTenants(site, stage, plan, std::move(applicants));
  return out;
}

std::shared_ptr<const v1alpha1::StagePlan> PlanOfClass(const std::string& site_class,
                                                       const cache::Store& classes,
                                                       const cache::Store& plans) {
  const meta::ObjectPtr object = classes.Get({"", site_class});
  if (object == nullptr) return nullptr;
  const std::string name = object->ToJson().value(
      nlohmann::json::json_pointer("/spec/stagePlanRef/name"), std::string());
  const meta::ObjectPtr plan = plans.Get({"", name});
  if (plan == nullptr) return nullptr;
  auto decoded = Decode<v1alpha1::StagePlan>(*plan);
  return decoded.ok() ? *decoded : nullptr;
}

bool IsWithdrawn(const base::Status& credentials) {
  return credentials.code() == base::Code::kNotFound ||
         credentials.code() == base::Code::kPermissionDenied;
}

bool AreKeysInForce(const v1alpha1::Tenant& tenant, const std::string& site) {
  return IsTrueAbout(tenant, site, kKeysInForce);
}

base::StatusOr<std::vector<S3Keys>> KeysOfTenant(const std::string& name,
                                                 const v1alpha1::Tenant& tenant,
                                                 SecretReader& secrets) {
  const v1alpha1::TenantSecretRef& ref = tenant.spec().credentials_ref();
  const std::string ns = ref.namespace_().empty() ? secrets.own_namespace() : ref.namespace_();
  SLUICE_ASSIGN_OR_RETURN(const meta::ObjectPtr secret, secrets.Get(ns, ref.name()));
  if (secret->Label(types::kTenantLabel) != name) {
    return base::PermissionDenied(fmt::format("Secret {}/{} is not labelled {}: {}", ns, ref.name(),
                                              types::kTenantLabel, name));
  }
  return ParseS3Keys(*secret);
}

}  // namespace sluice::common
