// The resources our reconcilers read and write. Constants; any thread.
#pragma once

#include "controller/meta/resource.h"

namespace sluice::common {

inline const meta::Resource kSiteClasses{"sluice.dev", "v1alpha1", "SiteClass", "siteclasses"};
inline const meta::Resource kSites{"sluice.dev", "v1alpha1", "Site", "sites"};
inline const meta::Resource kTenants{"sluice.dev", "v1alpha1", "Tenant", "tenants"};
inline const meta::Resource kObjectives{"sluice.dev", "v1alpha1", "ServiceLevelObjective",
                                        "servicelevelobjectives"};
inline const meta::Resource kStagePlans{"sluice.dev", "v1alpha1", "StagePlan", "stageplans"};
inline const meta::Resource kPromotions{"sluice.dev", "v1alpha1", "Promotion", "promotions"};

inline const meta::Resource kNamespaces{"", "v1", "Namespace", "namespaces"};
inline const meta::Resource kNodes{"", "v1", "Node", "nodes"};
inline const meta::Resource kSecrets{"", "v1", "Secret", "secrets", true};
inline const meta::Resource kConfigMaps{"", "v1", "ConfigMap", "configmaps", true};
inline const meta::Resource kServices{"", "v1", "Service", "services", true};
inline const meta::Resource kServiceAccounts{"", "v1", "ServiceAccount", "serviceaccounts", true};
inline const meta::Resource kDaemonSets{"apps", "v1", "DaemonSet", "daemonsets", true};

// Label of everything a reconciler makes, and its value: what our watches are narrowed to.
inline constexpr const char* kManagedByLabel = "app.kubernetes.io/managed-by";
inline constexpr const char* kManagedBy = "sluice";
inline constexpr const char* kManagedSelector = "app.kubernetes.io/managed-by=sluice";

}  // namespace sluice::common
