// Which tenants a site takes at the stage it has reached. One function for everybody who asks.
//
// Rules: the stage's `maxTenants` (and one for SingleTenant) is the number of places. Tenants that
// were bound keep their place, also when the stage went down and the places became fewer: they are
// named, not removed. Free places go to the oldest, then by name. Before the site has reached a
// stage there are none. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace sluice::v1alpha1 {
class StagePlan;
}  // namespace sluice::v1alpha1

namespace sluice::common {

// A tenant that names the site.
struct Applicant {
  std::string name;
  std::string created;  // RFC 3339, which sorts as time
  bool bound = false;   // has a place already, by its status
};

struct Binding {
  std::string tenant;
  bool bound = false;
  bool beyond = false;  // bound, but the stage has fewer places than that
  std::string reason;   // "Bound", "NoStageReached", "StageFull", "BeyondStage", "StageUnknown"
  std::string message;
};

// In the order of the places. `plan` may be nullptr (the class or its plan is missing).
std::vector<Binding> BindTenants(std::string_view site, std::string_view stage,
                                 const v1alpha1::StagePlan* plan,
                                 std::vector<Applicant> applicants);

}  // namespace sluice::common
