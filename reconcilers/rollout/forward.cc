#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "reconcilers/rollout/planner.h"

namespace sluice::rollout {

void Planner::Forward() {
  for (int i = 0; i < spec_.waves_size(); ++i) {
    const RolloutWave& wave = spec_.waves(i);
    RolloutWaveStatus* started = Started(wave.name());
    if (started != nullptr && started->state() == "Done") continue;
    status().set_wave(wave.name());
    if (started == nullptr) {
      if (!Start(i)) return;
    } else {
      barred_ = !CheckRelease();
    }
    bool done = true;
    for (RolloutSite* site : SitesOf(wave.name())) done = StepSite(*site, wave) && done;
    if (!due_.empty()) TakeDueSteps(wave);
    if (!done) return;
    started = Started(wave.name());
    started->set_state("Done");
    started->set_completed_at(Now());
  }
  End("Completed", fmt::format("every site of {} waves has Release {}", spec_.waves_size(),
                               spec_.release_ref().name()));
}

bool Planner::Start(int index) {
  const RolloutWave& wave = spec_.waves(index);
  if (!CheckRelease()) return false;
  std::vector<std::string> selected, sites, move;
  if (const auto found = o_.members.find(wave.name()); found != o_.members.end()) {
    selected = found->second;
  }
  for (const std::string& name : selected) {
    const bool taken = std::any_of(status().sites().begin(), status().sites().end(),
                                   [&](const RolloutSite& s) { return s.name() == name; });
    if (!taken) sites.push_back(name);
  }
  if (selected.empty() || status().sites_size() + static_cast<int>(sites.size()) > kMaxSites) {
    Holds("sites", Cause::kMisconfigured,
          selected.empty()
              ? fmt::format("waves[{}].sites: selects no Site; make or label one, or make "
                            "another Rollout",
                            wave.name())
              : fmt::format("waves[{}].sites: a Rollout moves at most {} sites; split it",
                            wave.name(), kMaxSites),
          kRollers);
    return false;
  }
  const std::size_t held = plan_.holds.size();
  for (const std::string& name : sites) {
    const SiteView& site = o_.sites.at(name);
    const bool there = site.release == spec_.release_ref().name() && site.rollout.empty();
    if (there) continue;
    move.push_back(name);
    CheckSite(site);
  }
  CheckExpansion(index, move);
  if (plan_.holds.size() > held || paused_ || plan_.stopped) return false;
  if (!move.empty() && !IsAnswered({wave.name(), false, Judged(index, move), move, false})) {
    return false;
  }
  Begin(wave, sites, move);
  return true;
}

std::vector<std::string> Planner::Judged(int index, const std::vector<std::string>& own) {
  std::vector<std::string> out;
  for (int i = index - 1; i >= 0 && out.empty(); --i) {
    for (const RolloutSite* site : SitesOf(spec_.waves(i).name())) {
      if (Find(*site) != nullptr) out.push_back(site->name());
    }
  }
  if (!out.empty()) return out;
  // An expansion by its first wave: those that run a Release speak, the new ones cannot.
  if (!Fresh(own).empty()) out = Running(own);
  return out.empty() ? own : out;
}

bool Planner::IsAnswered(Question question) {
  if (!FitsStatus(question)) return false;
  if (!o_.answer || !(o_.answer->question == question)) {
    plan_.question = std::move(question);
    return false;
  }
  const Answer& answer = *o_.answer;
  *status().mutable_gates() = answer.said->gates();
  if (answer.passed) return true;
  if (answer.again > Duration::zero()) LookIn(answer.again);
  if ((answer.abort || answer.revert) && !question.revert) {
    const std::string why = answer.holds.empty() ? "a gate" : answer.holds.front().message;
    if (answer.revert && HasMoved()) {
      Moves(kReverting, {{"wave", question.wave}, {"reason", why}});
      TurnBack();
      return false;
    }
    Moves(kAborted, {{"wave", question.wave}, {"reason", why}});
    End("Aborted", "a gate of wave " + question.wave + " ended it: " + why);
    return false;
  }
  plan_.holds.insert(plan_.holds.end(), answer.holds.begin(), answer.holds.end());
  return false;
}

void Planner::Begin(const RolloutWave& wave, const std::vector<std::string>& sites,
                    const std::vector<std::string>& move) {
  Moves(kWaveStarted, {{"wave", wave.name()},
                       {"release", spec_.release_ref().name()},
                       {"sites", fmt::format("{}", fmt::join(sites, " "))}});
  RolloutWaveStatus& started = *status().add_waves();
  started.set_name(wave.name());
  started.set_state("Running");
  started.set_started_at(Now());
  status().set_release_image(o_.release->image);
  for (const std::string& name : sites) {
    const SiteView& view = o_.sites.at(name);
    RolloutSite& site = *status().add_sites();
    site.set_name(name);
    site.set_uid(view.uid);
    site.set_wave(wave.name());
    site.set_nodes(view.nodes);
    site.set_target_nodes(0);
    site.set_max_unavailable(wave.max_unavailable().empty() ? "1" : wave.max_unavailable());
    site.set_started_at(Now());
    site.set_progressed_at(Now());
    Remember(view, site);
    const bool moves = std::find(move.begin(), move.end(), name) != move.end();
    site.set_state(moves ? "Moving" : "Done");
    if (!moves) site.set_completed_at(Now());
  }
}

void Planner::Remember(const SiteView& view, RolloutSite& site) {
  // Not what an aborted Rollout was on the way to: a revert would bring that to every node.
  const LeftBehind now{view.release, view.image, view.image_pull_policy, view.version};
  const LeftBehind& from = view.left_behind ? *view.left_behind : now;
  site.mutable_from()->set_release(from.release);
  site.mutable_from()->set_image(from.image);
  site.mutable_from()->set_image_pull_policy(from.image_pull_policy);
}

bool Planner::IsOver(RolloutSite& site) {
  if (!IsUnderWay(site)) return true;
  const SiteView* view = Find(site);
  if (view == nullptr) {
    Leave(site, "the site is gone");
    return true;
  }
  if (view->rollout_open) {
    Holds(site.name() + "/site", Cause::kPending,
          fmt::format("site {} was taken over by Rollout {}", site.name(), view->rollout),
          "the end of Rollout " + view->rollout);
  }
  return false;
}

void Planner::Leave(RolloutSite& site, const std::string& why) {
  site.set_state("Left");
  site.set_completed_at(Now());
  Moves(kSiteLeft, {{"site", site.name()}, {"wave", site.wave()}, {"reason", why}});
}

void Planner::SetTarget(RolloutSite& site, int target) {
  Moves(kStep,
        {{"site", site.name()},
         {"wave", site.wave()},
         {"image", Towards(site)},
         {"nodes", fmt::format("{} -> {} of {}", site.target_nodes(), target, site.nodes())}});
  site.set_target_nodes(target);
  site.set_progressed_at(Now());
  site.clear_soaking_since();
}

bool Planner::IsTaken(const RolloutSite& site) const {
  const SiteView* view = Find(site);
  return view != nullptr && view->current && view->rollout == o_.name &&
         view->image == Towards(site);
}

bool Planner::StepSite(RolloutSite& site, const RolloutWave& wave) {
  if (IsOver(site)) return true;
  const SiteView& view = *Find(site);
  if (view.rollout_open || !o_.release.ok()) return false;  // both are shown as holds
  // Another Rollout was first, and has ended since: what it brought is what ran before this one.
  if (view.rollout != o_.name && view.image != Towards(site)) {
    if (!MayUpgrade(view)) {
      Leave(site, fmt::format("it runs {} now, which upgradeFrom of Release {} does not name",
                              view.version.empty() ? view.image : view.version,
                              spec_.release_ref().name()));
      return true;
    }
    Remember(view, site);
    site.set_progressed_at(Now());
  }
  const bool empty = site.nodes() == 0;
  if (site.target_nodes() == 0 && !empty) {
    if (MayBegin()) {
      const int canary = wave.has_canary_nodes() ? wave.canary_nodes() : 1;
      SetTarget(site, std::min(std::max(1, canary), site.nodes()));
    }
    return false;
  }
  if (!IsTaken(site)) return false;
  if (!empty && !HasSoaked(site, wave)) return false;
  if (empty || site.target_nodes() >= site.nodes()) {
    site.set_state("Done");
    site.set_completed_at(Now());
    Moves(kSiteDone,
          {{"site", site.name()}, {"wave", site.wave()}, {"nodes", std::to_string(site.nodes())}});
    return true;
  }
  if (!MayBegin()) return false;
  if (wave.gates_at() == "Step" && wave.gates_size() > 0) {
    due_.push_back(&site);
  } else {
    TakeStep(site, wave);
  }
  return false;
}

void Planner::TakeStep(RolloutSite& site, const RolloutWave& wave) {
  const int percent = wave.has_step_percent() ? wave.step_percent() : 25;
  const int step = std::max(1, (site.nodes() * percent + 99) / 100);
  SetTarget(site, std::min(site.nodes(), site.target_nodes() + step));
}

void Planner::TakeDueSteps(const RolloutWave& wave) {
  std::vector<std::string> names;
  for (const RolloutSite* site : due_) names.push_back(site->name());
  if (!IsAnswered({wave.name(), false, std::move(names), {}, true})) return;
  for (RolloutSite* site : due_) TakeStep(*site, wave);
}

bool Planner::HasSoaked(const RolloutSite& site, const RolloutWave& wave) {
  const auto since = base::ParseRfc3339(site.soaking_since());
  if (!since.ok()) return false;
  const auto soak = std::chrono::seconds(wave.has_soak_seconds() ? wave.soak_seconds() : 60);
  if (o_.now >= *since + soak) return true;
  LookIn(*since + soak - o_.now);
  return false;
}

}  // namespace sluice::rollout
