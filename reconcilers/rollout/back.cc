#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "reconcilers/rollout/planner.h"

namespace sluice::rollout {

void Planner::Back() {
  if (paused_) return;
  for (int i = spec_.waves_size() - 1; i >= 0; --i) {
    const RolloutWave& wave = spec_.waves(i);
    RolloutWaveStatus* started = Started(wave.name());
    if (started == nullptr || started->state() == "Reverted") continue;
    status().set_wave(wave.name());
    if (started->state() != "Reverting" && !BeginBack(wave, *started)) return;
    bool done = true;
    for (RolloutSite* site : SitesOf(wave.name())) done = StepBack(*site) && done;
    if (!done) return;
    started->set_state("Reverted");
    started->set_completed_at(Now());
  }
  End("Reverted", "every node it moved runs what it ran before");
}

bool Planner::BeginBack(const RolloutWave& wave, RolloutWaveStatus& started) {
  std::vector<std::string> back;
  for (RolloutSite* site : SitesOf(wave.name())) {
    // Sites that had the release before the wave were not moved by it.
    const bool moved =
        site->state() == "Moving" ||
        (site->state() == "Done" && site->from().release() != spec_.release_ref().name());
    if (!moved) continue;
    const SiteView* view = Find(*site);
    const bool ours = view != nullptr && !view->rollout_open &&
                      (view->rollout == o_.name || view->release == spec_.release_ref().name() ||
                       view->image == site->from().image());
    if (!ours) {
      Leave(*site, "something else has moved it on since");
    } else {
      back.push_back(site->name());
    }
  }
  if (!back.empty() && !IsAnswered({wave.name(), true, back, back, false})) return false;
  Moves(kWaveReverting,
        {{"wave", wave.name()}, {"sites", fmt::format("{}", fmt::join(back, " "))}});
  started.set_state("Reverting");
  started.clear_completed_at();
  for (RolloutSite* site : SitesOf(wave.name())) {
    if (std::find(back.begin(), back.end(), site->name()) == back.end()) continue;
    site->set_state("Reverting");
    site->set_target_nodes(std::max(1, Find(*site)->nodes));
    site->set_nodes(Find(*site)->nodes);
    site->set_updated_nodes(0);
    site->set_ready_nodes(0);
    site->set_failed_nodes(0);
    site->set_progressed_at(Now());
    site->clear_soaking_since();
    site->clear_completed_at();
  }
  return true;
}

bool Planner::StepBack(RolloutSite& site) {
  if (IsOver(site)) return true;
  if (!IsTaken(site)) return false;
  if (site.nodes() > site.target_nodes()) SetTarget(site, site.nodes());
  if (site.nodes() > 0 && !IsStepReady(site)) return false;
  site.set_state("Reverted");
  site.set_completed_at(Now());
  Moves(kSiteReverted,
        {{"site", site.name()}, {"wave", site.wave()}, {"image", site.from().image()}});
  return true;
}

}  // namespace sluice::rollout
