#include "reconcilers/release/status.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "api/types/conditions.h"
#include "api/types/kinds.h"
#include "api/v1alpha1/common.pb.h"
#include "api/v1alpha1/release.pb.h"
#include "api/v1alpha1/rollout.pb.h"
#include "controller/base/time_format.h"

namespace sluice::release {
namespace {

using base::WallTime;

std::optional<WallTime> TimeOf(const std::string& text) {
  const auto time = base::ParseRfc3339(text);
  return time.ok() ? std::optional<WallTime>(*time) : std::nullopt;
}

bool Past(const std::optional<WallTime>& end, WallTime now) { return end && now >= *end; }

void FillVerified(const std::string& name, const v1alpha1::Release& release,
                  const std::vector<NamedRollout>& rollouts, v1alpha1::ReleaseStatus& status) {
  std::map<std::string, v1alpha1::ReleaseVerified> by_site;
  for (const auto& each : release.status().verified_in()) by_site[each.site()] = each;
  for (const NamedRollout& rollout : rollouts) {
    if (rollout.message->spec().release_ref().name() != name) continue;
    for (const v1alpha1::RolloutSite& site : rollout.message->status().sites()) {
      if (site.state() != "Done" || site.target_nodes() == 0 || by_site.count(site.name()) != 0) {
        continue;
      }
      v1alpha1::ReleaseVerified& verified = by_site[site.name()];
      verified.set_site(site.name());
      verified.set_rollout(rollout.name);
      verified.set_at(site.completed_at());
    }
  }
  for (auto& [site, verified] : by_site) {
    if (status.verified_in_size() == kMaxVerified) break;
    *status.add_verified_in() = std::move(verified);
  }
}

}  // namespace

Answer BuildStatus(const std::string& name, const v1alpha1::Release& release,
                   std::int64_t generation, const std::vector<NamedRollout>& rollouts,
                   WallTime now) {
  Answer out;
  out.status = std::make_shared<v1alpha1::ReleaseStatus>();
  v1alpha1::ReleaseStatus& status = *out.status;
  status.set_observed_generation(generation);
  *status.mutable_conditions() = release.status().conditions();
  FillVerified(name, release, rollouts, status);
  const auto until = TimeOf(release.spec().supported_until());
  out.end_of_life = TimeOf(release.spec().end_of_life());
  out.past_end_of_life = Past(out.end_of_life, now);
  const bool supported = !Past(until, now) && !out.past_end_of_life;
  const auto set = [&](std::string_view type, bool value, std::string_view reason,
                       const std::string& message) {
    types::SetCondition(status.mutable_conditions(),
                        {type, value ? types::kTrue : types::kFalse, reason, message, generation},
                        now);
  };
  set("Supported", supported, supported ? "InSupport" : "SupportEnded",
      !until ? (supported ? "no end of support is known" : "its life ended")
             : fmt::format("support {} at {}", supported ? "ends" : "ended",
                           base::FormatRfc3339(*until)));
  set("EndOfLife", out.past_end_of_life, out.past_end_of_life ? "Ended" : "Alive",
      !out.end_of_life ? std::string("no end of life is known")
                       : fmt::format("end of life {} {}", out.past_end_of_life ? "was" : "is at",
                                     base::FormatRfc3339(*out.end_of_life)));
  set(types::kReady, !out.past_end_of_life, out.past_end_of_life ? "EndOfLife" : "Usable",
      out.past_end_of_life ? "no Rollout moves to it any more; make a Release that is supported"
                           : "Rollouts may move to it");
  for (const auto& end : {until, out.end_of_life}) {
    if (!end || Past(end, now)) continue;
    out.changes_at = out.changes_at ? std::min(*out.changes_at, *end) : *end;
  }
  return out;
}

}  // namespace sluice::release
