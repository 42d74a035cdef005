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

inline constexpr KindInfo kReadinessReview{"ReadinessReview", "readinessreviews", "readinessreview",
                                           Scope::kCluster};
inline constexpr KindInfo kDecision{"Decision", "decisions", "decision", Scope::kCluster};
inline constexpr KindInfo kApproval{"Approval", "approvals", "approval", Scope::kCluster};
inline constexpr KindInfo kExemption{"Exemption", "exemptions", "exemption", Scope::kCluster};
inline constexpr KindInfo kFreezeWindow{"FreezeWindow", "freezewindows", "freezewindow",
                                        Scope::kCluster};
inline constexpr KindInfo kIncident{"Incident", "incidents", "incident", Scope::kCluster};

inline constexpr KindInfo kRelease{"Release", "releases", "release", Scope::kCluster};
inline constexpr KindInfo kRollout{"Rollout", "rollouts", "rollout", Scope::kCluster};

// All of them: each has a CRD in deploy/crds, and each CRD is one of these (conditions_test.cc).
inline constexpr std::array<KindInfo, 14> kKinds{
    kSiteClass, kSite,      kTenant,          kServiceLevelObjective,
    kStagePlan, kPromotion, kReadinessReview, kDecision,
    kApproval,  kExemption, kFreezeWindow,    kIncident,
    kRelease,   kRollout};

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
