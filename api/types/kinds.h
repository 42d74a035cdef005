// The names of our kinds, for URLs, watches and references. Constants only.
#pragma once

#include <array>
#include <string_view>

namespace sluice::types {

inline constexpr std::string_view kGroup = "sluice.dev";
inline constexpr std::string_view kVersion = "v1alpha1";
inline constexpr std::string_view kApiVersion = "sluice.dev/v1alpha1";

enum class Scope : bool { kCluster, kNamespaced };

struct KindInfo {
  std::string_view kind;
  std::string_view plural;  // in URLs and RBAC
  std::string_view singular;
  Scope scope;
};

inline constexpr KindInfo kSiteClass{"SiteClass", "siteclasses", "siteclass", Scope::kCluster};
inline constexpr KindInfo kSite{"Site", "sites", "site", Scope::kCluster};
inline constexpr KindInfo kTenant{"Tenant", "tenants", "tenant", Scope::kCluster};
inline constexpr KindInfo kServiceLevelObjective{"ServiceLevelObjective", "servicelevelobjectives",
                                                 "servicelevelobjective", Scope::kCluster};
inline constexpr KindInfo kStagePlan{"StagePlan", "stageplans", "stageplan", Scope::kCluster};
inline constexpr KindInfo kPromotion{"Promotion", "promotions", "promotion", Scope::kCluster};

inline constexpr std::array<KindInfo, 6> kKinds{
    kSiteClass, kSite, kTenant, kServiceLevelObjective, kStagePlan, kPromotion};

// Labels and annotations that are part of the API.
inline constexpr std::string_view kTenantLabel = "sluice.dev/tenant";  // on a tenant's Secret
inline constexpr std::string_view kSiteLabel = "sluice.dev/site";      // on what a site owns

// Values that the protos spell as strings.
inline constexpr std::string_view kTrue = "True";
inline constexpr std::string_view kFalse = "False";
inline constexpr std::string_view kUnknown = "Unknown";
inline constexpr std::string_view kReady = "Ready";          // the summarising condition
inline constexpr std::string_view kSucceeded = "Succeeded";  // a Promotion's

}  // namespace sluice::types
