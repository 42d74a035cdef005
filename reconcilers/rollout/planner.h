// The plan in the making: one object a call of PlanRollout. Internal to reconcilers/rollout.
//
// plan.cc has what is common, checks.cc what a wave may not start with, forward.cc the way out,
// back.cc the way back. Pure.
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "api/v1alpha1/common.pb.h"
#include "api/v1alpha1/governance.pb.h"
#include "api/v1alpha1/promotion.pb.h"
#include "api/v1alpha1/rollout.pb.h"
#include "api/v1alpha1/stage_plan.pb.h"
#include "controller/base/time_format.h"
#include "reconcilers/rollout/limits.h"
#include "reconcilers/rollout/plan.h"

namespace sluice::rollout {

using base::Duration;
using base::WallTime;
using gates::Cause;
using v1alpha1::RolloutSite;
using v1alpha1::RolloutWave;
using v1alpha1::RolloutWaveStatus;

inline constexpr const char* kRollers = "whoever rolls out releases";

// Whether its nodes are being given something.
inline bool IsUnderWay(const RolloutSite& site) {
  return site.state() == "Moving" || site.state() == "Reverting";
}

class Planner {
 public:
  explicit Planner(const Observed& o) : o_(o), spec_(*o.spec) {
    plan_.status = std::make_shared<v1alpha1::RolloutStatus>(*o.status);
  }
  Plan Run();

 private:
  v1alpha1::RolloutStatus& status() { return *plan_.status; }
  std::string Now() const { return base::FormatRfc3339(o_.now); }
  void Holds(std::string gate, Cause cause, std::string message, std::string unblocked_by,
             std::string word = {}) {
    plan_.holds.push_back(
        {std::move(gate), cause, std::move(message), std::move(unblocked_by), std::move(word)});
  }
  void Moves(const char* type, std::vector<std::pair<std::string, std::string>> data,
             bool by_person = false) {
    plan_.moves.push_back({type, by_person, std::move(data)});
  }
  void LookIn(Duration wait) {
    wait = std::max(wait, kShortestWait);
    if (plan_.again == Duration::zero() || wait < plan_.again) plan_.again = wait;
  }
  const SiteView* Find(const RolloutSite& site) const;
  RolloutWaveStatus* Started(const std::string& wave);
  std::vector<RolloutSite*> SitesOf(const std::string& wave);
  // The image that a site under way moves to; empty: nobody can tell.
  std::string Towards(const RolloutSite& site) const {
    if (site.state() == "Reverting") return site.from().image();
    return o_.release.ok() ? o_.release->image : std::string();
  }
  // Every agent of the step is ready, but for failing ones that spec.maxFailures allows; that none
  // is ready is never good enough.
  bool IsStepReady(const RolloutSite& site) const {
    const int lost = tolerated_ ? site.failed_nodes() : 0;
    return site.nodes() > 0 && site.target_nodes() > 0 && site.ready_nodes() > 0 &&
           site.ready_nodes() + lost >= std::min(site.target_nodes(), site.nodes());
  }
  // Failing agents of all sites on the way it goes; those of a site that is done as last counted.
  int Failures() const;
  // Whether there is anything that a revert would bring back.
  bool HasMoved() const;
  // What the sites say of themselves; nothing is moved here.
  void CountNodes();
  void TakeAction();
  // Why spec.action is not taken; empty: it is.
  std::string Untaken(const std::string& action, const std::string& before) const;
  void TurnBack();
  // Why nothing new begins, if anything.
  void FindStops();
  void FindLateness(const RolloutSite& site);
  void Stop(const char* gate, const std::string& message);
  void Forward();
  // Whether the release may be brought anywhere at all.
  bool CheckRelease();
  void CheckSite(const SiteView& site);
  // Whether the release may follow what a site runs, and what an aborted Rollout left on its nodes.
  bool MayUpgrade(const SiteView& site) const;
  bool IsNamed(const std::string& version) const;
  void CheckUpgrade(const SiteView& site, const std::string& version, const std::string& image);
  // Those of `sites` that run no Release yet.
  std::vector<std::string> Fresh(const std::vector<std::string>& sites) const;
  // The sites of this cluster that run one, without `besides`.
  std::vector<std::string> Running(const std::vector<std::string>& besides) const;
  // A wave that brings a first release to further sites is decided about, on the first sites' word.
  void CheckExpansion(int index, const std::vector<std::string>& sites);
  bool Start(int index);
  // Steps that are due, of sites whose wave asks its gates first.
  void TakeDueSteps(const RolloutWave& wave);
  // Whether anything new may begin now.
  bool MayBegin() const { return !paused_ && !plan_.stopped && !barred_; }
  std::vector<std::string> Judged(int index, const std::vector<std::string>& own);
  // Whether the answers can be kept: what is not would be news at every look.
  bool FitsStatus(const Question& question);
  bool IsAnswered(Question question);
  void Begin(const RolloutWave& wave, const std::vector<std::string>& sites,
             const std::vector<std::string>& move);
  // What it runs is what a revert brings back.
  static void Remember(const SiteView& view, RolloutSite& site);
  // What a site that is gone, or taken by another Rollout, makes of its entry. True: nothing more.
  bool IsOver(RolloutSite& site);
  void Leave(RolloutSite& site, const std::string& why);
  void SetTarget(RolloutSite& site, int target);
  void TakeStep(RolloutSite& site, const RolloutWave& wave);
  // Whether the site's present spec is ours and its controller has looked at it.
  bool IsTaken(const RolloutSite& site) const;
  // Whether the site is finished.
  bool StepSite(RolloutSite& site, const RolloutWave& wave);
  bool HasSoaked(const RolloutSite& site, const RolloutWave& wave);
  void Back();
  bool BeginBack(const RolloutWave& wave, RolloutWaveStatus& started);
  bool StepBack(RolloutSite& site);
  void End(const char* outcome, const std::string& message);
  void Finish();
  static std::string WordOf(const Hold& hold) {
    return hold.word.empty() ? std::string(gates::CauseName(hold.cause)) : hold.word;
  }
  void FillBlockers();
  void Set(std::string_view type, std::string_view value, const std::string& reason,
           const std::string& message);
  void FillConditions();
  const Observed& o_;
  const v1alpha1::RolloutSpec& spec_;
  Plan plan_;
  bool paused_ = false;
  bool barred_ = false;            // the Release of the wave under way is gone or at its end
  bool tolerated_ = false;         // no more agents fail than spec.maxFailures allows
  std::vector<RolloutSite*> due_;  // whose next step waits for the wave's gates
  std::string end_message_;
};

}  // namespace sluice::rollout
