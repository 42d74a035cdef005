// Internal to this folder: how a Decision stands, and who decides about an exemption.
#pragma once

#include <string_view>
#include <vector>

#include "reconcilers/governance/status.h"

namespace sluice::v1alpha1 {
class SiteSelector;
}  // namespace sluice::v1alpha1

namespace sluice::governance {

// The object of that name; null: there is none.
meta::ObjectPtr Named(const std::vector<meta::ObjectPtr>& objects, std::string_view name);

// Whoever decides about exemptions in any plan of the sites that one selects.
// Errors: InvalidArgument when a plan is not what its schema says.
base::StatusOr<std::vector<gates::RoleRule>> WaiverRules(const v1alpha1::SiteSelector& selector,
                                                         const World& world);

}  // namespace sluice::governance
