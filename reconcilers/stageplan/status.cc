#include "reconcilers/stageplan/status.h"

#include <fmt/format.h>

#include <set>

#include "api/types/conditions.h"
#include "api/types/kinds.h"
#include "api/v1alpha1/common.pb.h"
#include "api/v1alpha1/stage_plan.pb.h"
#include "reconcilers/gates/objects/convert.h"
#include "reconcilers/gates/promql.h"

namespace sluice::stageplan {
namespace {

constexpr std::size_t kMaxProblemsShown = 5;

// A metric gate's queries are read with stand-ins for what a site fills in.
base::Status CheckMetric(const gates::Gate& gate) {
  std::map<std::string, std::string> variables = {{"site", "site"}};
  const auto selector = gates::FillIn(gate.freshness_selector, variables);
  if (!selector.ok()) return selector.status().Annotate("metric.freshnessSelector");
  const auto found = gates::RawSelectors(*selector);
  if (!found.ok()) return found.status().Annotate("metric.freshnessSelector");
  if (found->size() != 1 || found->front() != *selector) {
    return base::InvalidArgument("metric.freshnessSelector: must be one plain series selector");
  }
  if (gate.long_window.count() != 0) variables["window"] = "5m";
  const auto query = gates::FillIn(gate.query, variables);
  if (!query.ok()) return query.status().Annotate("metric.query");
  const auto series = gates::RawSelectors(*query);
  return series.ok() ? base::OkStatus() : series.status().Annotate("metric.query");
}

}  // namespace

std::vector<std::string> Problems(const v1alpha1::StagePlan& plan) {
  std::vector<std::string> out;
  std::set<std::string> stages;
  for (const v1alpha1::Stage& stage : plan.spec().stages()) {
    const std::string at = fmt::format("stages[{}]", stage.name());
    if (!stages.insert(stage.name()).second) out.push_back(at + ": the name is used twice");
    if (stage.entry_gates().empty()) {
      out.push_back(at + ".entryGates: none; nothing could be evidence for this stage");
    }
    std::set<std::string> names;
    for (const v1alpha1::Gate& message : stage.entry_gates()) {
      const std::string where = fmt::format("{}.entryGates[{}]", at, message.name());
      if (!names.insert(message.name()).second) out.push_back(where + ": the name is used twice");
      const auto gate = gates::GateFrom(message);
      base::Status status = gate.status();
      if (gate.ok() && gate->kind == gates::GateKind::kUnknown) {
        status = base::InvalidArgument("this controller does not know this kind of gate");
      }
      if (gate.ok() && gate->kind == gates::GateKind::kMetric) status = CheckMetric(*gate);
      if (!status.ok()) out.push_back(fmt::format("{}: {}", where, status.message()));
    }
  }
  return out;
}

std::unique_ptr<v1alpha1::StagePlanStatus> BuildStatus(const v1alpha1::StagePlan& plan,
                                                       std::int64_t generation,
                                                       base::WallTime now) {
  auto status = std::make_unique<v1alpha1::StagePlanStatus>();
  *status->mutable_conditions() = plan.status().conditions();
  status->set_observed_generation(generation);
  status->set_hash(gates::PlanHash(plan.spec()));
  const std::vector<std::string> problems = Problems(plan);
  if (problems.empty()) {
    types::SetCondition(
        status->mutable_conditions(),
        {types::kReady, types::kTrue, "Valid",
         fmt::format("{} stages can be climbed", plan.spec().stages_size()), generation},
        now);
    return status;
  }
  std::string message;
  for (std::size_t i = 0; i < problems.size() && i < kMaxProblemsShown; ++i) {
    message += (i == 0 ? "" : "; ") + problems[i];
  }
  if (problems.size() > kMaxProblemsShown) {
    message += fmt::format("; and {} more", problems.size() - kMaxProblemsShown);
  }
  types::SetCondition(status->mutable_conditions(),
                      {types::kReady, types::kFalse, "Misconfigured", message, generation}, now);
  return status;
}

}  // namespace sluice::stageplan
