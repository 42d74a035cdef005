#include "reconcilers/rollout/plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "api/types/conditions.h"
#include "api/types/json_codec.h"
#include "api/types/kinds.h"
#include "api/types/text.h"
#include "controller/base/digest.h"
#include "reconcilers/rollout/planner.h"

namespace sluice::rollout {

Plan Planner::Run() {
  status().set_observed_generation(o_.generation);
  // While the Release cannot be read, nobody is asked anew.
  if (o_.release.ok()) status().set_plan_hash(PlanHash(spec_, *o_.release));
  if (status().direction().empty()) status().set_direction("Forward");
  CountNodes();
  if (!o_.audit_problem.empty()) {
    Holds("audit", Cause::kAuditUnavailable, o_.audit_problem,
          std::string(gates::UnblockedBy(Cause::kAuditUnavailable)));
  } else {
    TakeAction();
    if (status().outcome().empty()) {
      FindStops();
      status().direction() == "Reverting" ? Back() : Forward();
    }
  }
  Finish();
  return std::move(plan_);
}

const SiteView* Planner::Find(const RolloutSite& site) const {
  const auto found = o_.sites.find(site.name());
  if (found == o_.sites.end() || found->second.uid != site.uid()) return nullptr;
  return &found->second;
}

RolloutWaveStatus* Planner::Started(const std::string& wave) {
  for (RolloutWaveStatus& each : *status().mutable_waves()) {
    if (each.name() == wave) return &each;
  }
  return nullptr;
}

std::vector<RolloutSite*> Planner::SitesOf(const std::string& wave) {
  std::vector<RolloutSite*> out;
  for (RolloutSite& each : *status().mutable_sites()) {
    if (each.wave() == wave) out.push_back(&each);
  }
  return out;
}

int Planner::Failures() const {
  const bool forward = plan_.status->direction() != "Reverting";
  int failed = 0;
  for (const RolloutSite& site : plan_.status->sites()) {
    const bool counts =
        forward ? site.state() == "Moving" || site.state() == "Done" : site.state() == "Reverting";
    if (counts) failed += site.failed_nodes();
  }
  return failed;
}

bool Planner::HasMoved() const {
  const auto& sites = plan_.status->sites();
  return std::any_of(sites.begin(), sites.end(), [](const RolloutSite& site) {
    return IsUnderWay(site) || site.state() == "Done";
  });
}

void Planner::CountNodes() {
  std::vector<RolloutSite*> counted_now;
  for (RolloutSite& site : *status().mutable_sites()) {
    const SiteView* view = IsUnderWay(site) ? Find(site) : nullptr;
    if (view == nullptr || !view->current) continue;
    const std::string image = Towards(site);
    if (image.empty()) continue;  // what was counted last stands
    counted_now.push_back(&site);
    const bool counted =
        view->image == image && view->counted_image == image && view->rollout == o_.name;
    const int ready = counted ? view->updated_ready : 0;
    if (ready > site.ready_nodes()) site.set_progressed_at(Now());
    site.set_nodes(view->nodes);
    site.set_updated_nodes(counted ? view->updated : 0);
    site.set_ready_nodes(ready);
    site.set_failed_nodes(counted ? view->failed : 0);
  }
  tolerated_ = Failures() <= spec_.max_failures();
  for (RolloutSite* site : counted_now) {
    if (!IsStepReady(*site)) {
      site->clear_soaking_since();
    } else if (site->soaking_since().empty()) {
      site->set_soaking_since(Now());
    }
  }
}

void Planner::TakeAction() {
  const std::string action = spec_.action().empty() ? "Run" : spec_.action();
  const std::string before = status().action().empty() ? "Run" : status().action();
  if (const std::string why = Untaken(action, before); !why.empty()) {
    Set("ActionTaken", types::kFalse, status().outcome().empty() ? "Reverting" : "Ended",
        fmt::format("spec.action {} is not taken: {}", action, why));
    return;
  }
  types::RemoveCondition(status().mutable_conditions(), "ActionTaken");
  status().set_action(action);
  if (action == before) return;
  const std::vector<std::pair<std::string, std::string>> data = {
      {"from", before}, {"to", action}, {"wave", status().wave()}};
  if (action == "Pause") Moves(kPaused, data, true);
  if (action == "Run") Moves(kResumed, data, true);
  if (action == "Revert" && status().direction() != "Reverting") {
    Moves(kReverting, data, true);
    TurnBack();
  }
  if (action == "Abort") {
    Moves(kAborted, data, true);
    End("Aborted", "aborted by spec.action; nodes stay as they are");
  }
}

std::string Planner::Untaken(const std::string& action, const std::string& before) const {
  const v1alpha1::RolloutStatus& status = *plan_.status;
  if (action == before) return "";
  const bool back = status.direction() == "Reverting";
  if (!status.outcome().empty()) {
    if (action != "Revert") {
      return fmt::format("it ended as {} at {}; make another Rollout", status.outcome(),
                         status.completed_at());
    }
    if (back) return "it was reverted before; make a Rollout of the release that is wanted";
    return HasMoved() ? "" : "it moved no node, so there is nothing to bring back";
  }
  if (back && action == "Run" && before == "Revert") {
    return "a revert is not turned forward; let it end, or abort it, and make another Rollout";
  }
  return "";
}

void Planner::TurnBack() {
  status().set_direction("Reverting");
  status().clear_outcome();
  status().clear_completed_at();
  status().clear_gates();
}

void Planner::FindStops() {
  if (spec_.action() == "Pause") {
    paused_ = true;
    Holds("action", Cause::kPending, "spec.action is Pause: steps under way finish",
          "whoever sets spec.action to Run", "Paused");
  }
  const int failed = Failures();
  std::string first;
  for (const RolloutSite& site : status().sites()) {
    if (!IsUnderWay(site)) continue;
    const SiteView* view = Find(site);
    if (site.failed_nodes() > 0 && first.empty() && view != nullptr) {
      first = fmt::format("; site {}, {}", site.name(), view->failure);
    }
    FindLateness(site);
  }
  if (failed > spec_.max_failures()) {
    Stop("failures", fmt::format("{} agents fail on the release, spec.maxFailures allows {}{}",
                                 failed, spec_.max_failures(), first));
  }
  const bool forward = status().direction() == "Forward";
  if (plan_.stopped && forward && !paused_ && spec_.on_failure() == "Revert") {
    Moves(kReverting, {{"reason", plan_.holds.back().message}, {"wave", status().wave()}});
    TurnBack();
    plan_.holds.clear();
  }
}

void Planner::FindLateness(const RolloutSite& site) {
  if (site.target_nodes() == 0 || IsStepReady(site) || Towards(site).empty()) return;
  // What another Rollout moves, or what was not written to the site yet, is not the nodes' delay.
  const SiteView* view = Find(site);
  if (view == nullptr || view->rollout != o_.name) return;
  const auto since = base::ParseRfc3339(site.progressed_at());
  if (!since.ok()) return;
  const auto limit = std::chrono::seconds(
      spec_.has_progress_deadline_seconds() ? spec_.progress_deadline_seconds() : 900);
  if (o_.now < *since + limit) {
    LookIn(*since + limit - o_.now);
    return;
  }
  Stop("progress", fmt::format("site {}: {} of {} nodes are ready, and none became so since {} "
                               "(spec.progressDeadlineSeconds is {})",
                               site.name(), site.ready_nodes(), site.target_nodes(),
                               site.progressed_at(), limit.count()));
}

void Planner::Stop(const char* gate, const std::string& message) {
  plan_.stopped = true;
  for (const Hold& hold : plan_.holds) {
    if (hold.gate == gate) return;
  }
  Holds(gate, Cause::kGateFailed, message,
        "agents that become ready, or whoever sets spec.action to Revert or Abort");
}

void Planner::End(const char* outcome, const std::string& message) {
  // The sites obey these numbers: an aborted one stops where it stands, in the middle of a step.
  for (RolloutSite& site : *status().mutable_sites()) {
    if (!IsUnderWay(site)) continue;
    site.set_target_nodes(std::min(site.target_nodes(), site.updated_nodes()));
  }
  status().set_outcome(outcome);
  status().set_completed_at(Now());
  end_message_ = message;
  Moves(kEnded, {{"outcome", outcome}, {"message", message}});
}

void Planner::Finish() {
  if (!status().outcome().empty()) plan_.holds.clear();
  std::stable_sort(plan_.holds.begin(), plan_.holds.end(),
                   [](const Hold& a, const Hold& b) { return a.cause < b.cause; });
  FillBlockers();
  FillConditions();
  if (status().outcome().empty()) {
    LookIn(kLook);
  } else {
    plan_.again = Duration::zero();
  }
}

void Planner::FillBlockers() {
  const auto before = status().blocked_by();
  status().clear_blocked_by();
  for (const Hold& hold : plan_.holds) {
    if (static_cast<std::size_t>(status().blocked_by_size()) == kMaxBlockers) break;
    const auto& said = status().blocked_by();
    const bool twice =
        std::any_of(said.begin(), said.end(), [&](const auto& b) { return b.gate() == hold.gate; });
    if (twice) continue;  // they are listed by their gate
    const std::string word = WordOf(hold);
    v1alpha1::Blocker& blocker = *status().add_blocked_by();
    blocker.set_gate(hold.gate);
    blocker.set_cause(word);
    blocker.set_message(std::string(types::Cut(hold.message, 1024)));
    blocker.set_unblocked_by(std::string(types::Cut(hold.unblocked_by, 256)));
    blocker.set_since(Now());
    for (const v1alpha1::Blocker& old : before) {
      if (old.gate() == hold.gate && old.cause() == word) blocker.set_since(old.since());
    }
  }
}

void Planner::Set(std::string_view type, std::string_view value, const std::string& reason,
                  const std::string& message) {
  types::SetCondition(status().mutable_conditions(), {type, value, reason, message, o_.generation},
                      o_.now);
}

void Planner::FillConditions() {
  const std::string& outcome = status().outcome();
  if (!outcome.empty()) {
    if (end_message_.empty()) return;
    Set(types::kSucceeded, outcome == "Completed" ? types::kTrue : types::kFalse, outcome,
        end_message_);
    Set("Progressing", types::kFalse, outcome, end_message_);
    return;
  }
  const bool back = status().direction() == "Reverting";
  std::string reason = back ? "Reverting" : "Progressing";
  std::string message =
      fmt::format("wave {} {}", status().wave(), back ? "goes back" : "is under way");
  if (!plan_.holds.empty()) {
    reason = WordOf(plan_.holds.front());
    message = fmt::format("{}: {}", plan_.holds.front().gate, plan_.holds.front().message);
  }
  Set(types::kSucceeded, types::kUnknown, reason, message);
  Set("Progressing", plan_.holds.empty() ? types::kTrue : types::kFalse, reason, message);
}

std::string PlanHash(const v1alpha1::RolloutSpec& spec, const ReleaseView& release) {
  v1alpha1::RolloutSpec decided;
  *decided.mutable_release_ref() = spec.release_ref();
  *decided.mutable_waves() = spec.waves();
  nlohmann::json json = types::ToJson(decided);
  json["image"] = release.image;
  return base::Sha256Hex(json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
}

base::StatusOr<ReleaseView> AsBegun(base::StatusOr<ReleaseView> release,
                                    const v1alpha1::RolloutStatus& status) {
  const std::string& begun = status.release_image();
  if (!release.ok() || begun.empty() || release->image == begun) return release;
  return base::FailedPrecondition(fmt::format(
      "spec.releaseRef: the Release was made anew with another image than {}, which this "
      "Rollout began with; make another Rollout of it",
      begun));
}

Plan PlanRollout(const Observed& observed) { return Planner(observed).Run(); }

std::vector<SiteRelease> WantedReleases(const Observed& observed,
                                        const v1alpha1::RolloutStatus& written) {
  std::vector<SiteRelease> out;
  const bool aborted = written.outcome() == "Aborted";
  for (const RolloutSite& site : written.sites()) {
    const auto found = observed.sites.find(site.name());
    if (found == observed.sites.end() || found->second.uid != site.uid()) continue;
    const SiteView& view = found->second;
    const bool forward = site.state() == "Moving" || site.state() == "Done";
    const bool under_way = IsUnderWay(site);
    if (site.state() == "Left" || (forward && !observed.release.ok())) continue;
    // What is done is let go of once, and then it is nobody's.
    if (under_way ? (aborted || view.rollout_open) : view.rollout != observed.name) continue;
    SiteRelease wanted{site.name(), site.from().release(), site.from().image(),
                       site.from().image_pull_policy(), under_way};
    if (forward) {
      wanted = {site.name(), observed.spec->release_ref().name(), observed.release->image,
                observed.release->image_pull_policy, under_way};
    }
    const std::string rollout = under_way ? observed.name : std::string();
    if (view.release == wanted.release && view.image == wanted.image &&
        view.image_pull_policy == wanted.image_pull_policy && view.rollout == rollout) {
      continue;
    }
    out.push_back(std::move(wanted));
  }
  return out;
}

}  // namespace sluice::rollout
