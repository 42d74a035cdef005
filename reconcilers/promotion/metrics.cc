#include "reconcilers/promotion/metrics.h"

#include <algorithm>

namespace sluice::promotion {
namespace {

constexpr const char* kBlocked = "sluice_blocked";
constexpr const char* kBlockedHelp = "Objects that a gate holds, by the first cause.";
constexpr const char* kVerdict = "sluice_gate_verdict";
constexpr const char* kVerdictHelp = "1 for the present verdict of each gate of an open Promotion.";

base::metrics::Gauge& Blocked(base::metrics::Registry& registry, const std::string& cause) {
  return registry.GetGauge(kBlocked, kBlockedHelp, {{"kind", "Site"}, {"cause", cause}});
}

base::metrics::Labels LabelsOf(const std::string& site, const gates::GateResult& result) {
  return {{"kind", "Site"},
          {"name", site},
          {"gate", result.gate},
          {"verdict", std::string(gates::VerdictName(result.verdict))},
          {"cause", std::string(gates::CauseName(result.cause()))}};
}

}  // namespace

PromotionMetrics::PromotionMetrics(base::metrics::Registry& registry) : registry_(registry) {
  for (int i = 0; i < gates::kCauseCount; ++i) {
    const auto cause = static_cast<gates::Cause>(i);
    if (cause == gates::Cause::kMet || cause == gates::Cause::kExempted) continue;
    Blocked(registry_, std::string(gates::CauseName(cause)));
  }
}

void PromotionMetrics::Drop(const std::string& site) {
  if (shown_.erase(site) != 0) registry_.RemoveSeries(kVerdict, "name", site);
}

void PromotionMetrics::Count(const std::string& site, const std::string& cause) {
  std::string& before = blocked_[site];
  if (before == cause) return;
  if (!before.empty()) Blocked(registry_, before).Add(-1);
  if (!cause.empty()) Blocked(registry_, cause).Add(1);
  before = cause;
}

void PromotionMetrics::Set(const std::string& site, const std::vector<gates::GateResult>& results) {
  const std::lock_guard lock(mutex_);
  std::string first;
  gates::Cause worst = gates::Cause::kMet;
  for (const gates::GateResult& result : results) {
    if (result.verdict == gates::Verdict::kPass || result.cause() >= worst) continue;
    worst = result.cause();
    first = gates::CauseName(worst);
  }
  Count(site, first);
  const auto shown = shown_.find(site);
  const bool same =
      shown != shown_.end() && std::equal(results.begin(), results.end(), shown->second.begin(),
                                          shown->second.end(), [&](const auto& a, const auto& b) {
                                            return LabelsOf(site, a) == LabelsOf(site, b);
                                          });
  if (same) return;
  Drop(site);
  for (const gates::GateResult& result : results) {
    registry_.GetGauge(kVerdict, kVerdictHelp, LabelsOf(site, result)).Set(1);
  }
  if (!results.empty()) shown_[site] = results;
}

void PromotionMetrics::Remove(const std::string& site) {
  const std::lock_guard lock(mutex_);
  Count(site, "");
  blocked_.erase(site);
  Drop(site);
}

}  // namespace sluice::promotion
