#include "reconcilers/common/binding.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <tuple>

#include "api/v1alpha1/stage_plan.pb.h"

namespace sluice::common {
namespace {

const v1alpha1::Stage* FindStage(const v1alpha1::StagePlan* plan, std::string_view name) {
  if (plan == nullptr) return nullptr;
  for (const v1alpha1::Stage& stage : plan->spec().stages()) {
    if (stage.name() == name) return &stage;
  }
  return nullptr;
}

std::size_t Places(const v1alpha1::Stage& stage) {
  if (stage.tenancy() == "SingleTenant") return 1;
  if (!stage.has_max_tenants()) return std::numeric_limits<std::size_t>::max();
  return static_cast<std::size_t>(std::max(0, stage.max_tenants()));
}

std::string HolderNames(const std::vector<Binding>& bindings) {
  std::string names;
  int more = 0;
  for (const Binding& binding : bindings) {
    if (!binding.bound) continue;
    if (names.size() > 100) {
      ++more;
      continue;
    }
    names += (names.empty() ? "" : ", ") + binding.tenant;
  }
  return more == 0 ? names : fmt::format("{} and {} more", names, more);
}

}  // namespace

std::vector<Binding> BindTenants(std::string_view site, std::string_view stage_name,
                                 const v1alpha1::StagePlan* plan,
                                 std::vector<Applicant> applicants) {
  std::sort(applicants.begin(), applicants.end(), [](const Applicant& a, const Applicant& b) {
    return std::make_tuple(!a.bound, a.created, a.name) <
           std::make_tuple(!b.bound, b.created, b.name);
  });
  const v1alpha1::Stage* stage = FindStage(plan, stage_name);
  const std::size_t places = stage == nullptr ? 0 : Places(*stage);
  std::vector<Binding> out;
  for (const Applicant& applicant : applicants) {
    Binding binding{applicant.name, false, false, "", ""};
    if (out.size() < places) {
      binding.bound = true;
      binding.reason = "Bound";
      binding.message = fmt::format("site {} serves the tenant at stage {}", site, stage_name);
    } else if (applicant.bound) {
      binding.bound = true;
      binding.beyond = true;
      binding.reason = "BeyondStage";
      binding.message =
          fmt::format("site {} went down to {}, which has {} places; the tenant keeps running",
                      site, stage_name.empty() ? "no stage" : stage_name, places);
    } else if (stage_name.empty()) {
      binding.reason = "NoStageReached";
      binding.message = fmt::format(
          "site {} has reached no stage yet; `kubectl sluice why site/{}` tells why", site, site);
    } else if (stage == nullptr) {
      binding.reason = "StageUnknown";
      binding.message =
          fmt::format("site {} is at {}, which its plan does not have", site, stage_name);
    } else {
      binding.reason = "StageFull";
      binding.message = fmt::format("stage {} of site {} takes {} tenant{}, held by {}", stage_name,
                                    site, places, places == 1 ? "" : "s", HolderNames(out));
    }
    out.push_back(std::move(binding));
  }
  return out;
}

}  // namespace sluice::common
