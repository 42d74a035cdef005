#include "reconcilers/promotion/plan.h"

#include <fmt/format.h>

#include <algorithm>

#include "reconcilers/promotion/limits.h"

namespace sluice::promotion {
namespace {

int IndexOf(const PlanView& plan, const std::string& stage) {
  const auto found = std::find(plan.stages.begin(), plan.stages.end(), stage);
  return found == plan.stages.end() ? -1 : static_cast<int>(found - plan.stages.begin());
}

std::string Lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return text;
}

Step Stuck(std::string reason, std::string message) {
  Step step;
  step.kind = StepKind::kStuck;
  step.reason = std::move(reason);
  step.message = std::move(message);
  return step;
}

// What the site needs next, leaving aside what is open.
Step Wanted(const SiteView& site, const base::StatusOr<PlanView>& plan) {
  if (!plan.ok()) return Stuck("PlanMissing", plan.status().message());
  const int wanted = IndexOf(*plan, site.wanted);
  if (wanted < 0) {
    return Stuck("StageUnknown",
                 fmt::format("spec.stage: plan {} has no stage {}", plan->name, site.wanted));
  }
  const int reached = site.reached.empty() ? -1 : IndexOf(*plan, site.reached);
  if (!site.reached.empty() && reached < 0) {
    return Stuck("StageGone", fmt::format("plan {} no longer has the stage {} that was reached",
                                          plan->name, site.reached));
  }
  Step step;
  if (wanted < reached) {
    step.kind = StepKind::kStepDown;
    step.to = site.wanted;
  } else if (wanted > reached) {
    step.kind = StepKind::kCreate;
    step.to = plan->stages[static_cast<std::size_t>(reached + 1)];
  }
  return step;
}

std::vector<std::string> BeyondBound(std::vector<PromotionView> finished) {
  std::vector<std::string> out;
  if (finished.size() <= kMaxFinishedPerSite) return out;
  std::sort(finished.begin(), finished.end(), [](const PromotionView& a, const PromotionView& b) {
    return a.created != b.created ? a.created < b.created : a.name < b.name;
  });
  for (std::size_t i = 0; i + kMaxFinishedPerSite < finished.size(); ++i) {
    out.push_back(finished[i].name);
  }
  return out;
}

}  // namespace

std::string PromotionName(const SiteView& site, const std::string& stage, int attempt) {
  const std::string name = fmt::format("{}-{}-{}", site.name, site.generation, Lower(stage));
  return attempt <= 1 ? name : fmt::format("{}-{}", name, attempt);
}

Step PlanStep(const SiteView& site, const base::StatusOr<PlanView>& plan,
              const std::vector<PromotionView>& promotions) {
  if (site.deleting) return {};
  Step step = Wanted(site, plan);
  std::vector<PromotionView> finished;
  int attempts = 0;
  bool aborted = false;
  const PromotionView* current = nullptr;
  for (const PromotionView& p : promotions) {
    if (p.site_uid != site.uid) continue;  // of a site that had this name before
    const bool same_step = p.generation == site.generation && p.to == step.to;
    if (!p.open()) finished.push_back(p);
    if (same_step) ++attempts;
    const bool same_plan = plan.ok() && p.plan_hash == plan->hash;
    if (same_step && same_plan && p.outcome == "Aborted") aborted = true;
    if (!p.open()) continue;
    if (!site.reached.empty() && p.to == site.reached) {
      // The stage was set and the process ended before the outcome was recorded.
      Step finish = step;
      finish.kind = StepKind::kFinish;
      finish.promotion = p.name;
      finish.to = p.to;
      return finish;
    }
    if (step.kind == StepKind::kCreate && same_step && same_plan && p.from == site.reached &&
        current == nullptr) {
      current = &p;
    } else if (plan.ok()) {
      // A plan that cannot be read holds what is open; it does not end it.
      step.supersede.push_back(p.name);
    }
  }
  step.forget = BeyondBound(std::move(finished));
  if (step.kind != StepKind::kCreate) return step;
  if (current != nullptr) {
    step.kind = StepKind::kEvaluate;
    step.promotion = current->name;
  } else if (aborted) {
    step.kind = StepKind::kStuck;
    step.reason = "Aborted";
    step.message =
        fmt::format("the attempt to reach {} was aborted; change the spec to try again", step.to);
  } else {
    step.promotion = PromotionName(site, step.to, attempts + 1);
  }
  return step;
}

}  // namespace sluice::promotion
