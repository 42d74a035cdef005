#include "reconcilers/promotion/metrics.h"

#include <algorithm>

namespace sluice::promotion {
namespace {

constexpr const char* kVerdict = "sluice_gate_verdict";
constexpr const char* kVerdictHelp = "1 for the present verdict of each gate of an open Promotion.";

constexpr const char* kDeadline = "sluice_gate_hold_deadline_seconds";
constexpr const char* kDeadlineHelp =
    "When a gate that holds will have held for its maxHoldSeconds (Unix time).";

base::metrics::Labels LabelsOf(const std::string& site, const gates::GateResult& result) {
  return {{"kind", "Site"},
          {"name", site},
          {"gate", result.gate},
          {"verdict", std::string(gates::VerdictName(result.verdict))},
          {"cause", std::string(gates::CauseName(result.cause()))}};
}

}  // namespace

void PromotionMetrics::SetDeadlines(const std::string& site,
                                    const std::vector<gates::GateResult>& results,
                                    const std::vector<gates::Gate>& gates) {
  const auto before = std::move(held_since_[site]);
  auto& held = held_since_[site] = {};
  registry_.RemoveSeries(kDeadline, "name", site);
  for (const gates::GateResult& result : results) {
    if (result.verdict == gates::Verdict::kPass) continue;
    const auto earlier = before.find(result.gate);
    const base::WallTime since =
        earlier == before.end() ? result.since : std::min(earlier->second, result.since);
    held.emplace(result.gate, since);
    const auto gate = std::find_if(gates.begin(), gates.end(),
                                   [&](const gates::Gate& g) { return g.name == result.gate; });
    if (gate == gates.end() || gate->max_hold <= base::Duration::zero()) continue;
    registry_
        .GetGauge(kDeadline, kDeadlineHelp,
                  {{"kind", "Site"}, {"name", site}, {"gate", result.gate}})
        .Set(std::chrono::duration<double>(since.time_since_epoch() + gate->max_hold).count());
  }
  if (held.empty()) held_since_.erase(site);
}

void PromotionMetrics::Set(const std::string& site, const std::vector<gates::GateResult>& results,
                           const std::vector<gates::Gate>& gates) {
  std::optional<gates::Cause> worst;
  std::vector<base::metrics::Labels> series;
  for (const gates::GateResult& result : results) {
    series.push_back(LabelsOf(site, result));
    if (result.verdict == gates::Verdict::kPass) continue;
    worst = worst ? std::min(*worst, result.cause()) : result.cause();
  }
  blocked_.Set(site, worst);
  const std::lock_guard lock(mutex_);
  SetDeadlines(site, results, gates);
  std::vector<base::metrics::Labels>& shown = shown_[site];
  if (shown != series) {
    registry_.RemoveSeries(kVerdict, "name", site);
    for (const base::metrics::Labels& labels : series) {
      registry_.GetGauge(kVerdict, kVerdictHelp, labels).Set(1);
    }
    shown = std::move(series);
  }
  if (shown.empty()) shown_.erase(site);
}

void PromotionMetrics::SetStuck(const std::string& site, gates::Cause cause) {
  Set(site, {});
  blocked_.Set(site, cause);
}

}  // namespace sluice::promotion
