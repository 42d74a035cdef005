#include "reconcilers/promotion/metrics.h"

#include <algorithm>

namespace sluice::promotion {
namespace {

constexpr const char* kVerdict = "sluice_gate_verdict";
constexpr const char* kVerdictHelp = "1 for the present verdict of each gate of an open Promotion.";

base::metrics::Labels LabelsOf(const std::string& site, const gates::GateResult& result) {
  return {{"kind", "Site"},
          {"name", site},
          {"gate", result.gate},
          {"verdict", std::string(gates::VerdictName(result.verdict))},
          {"cause", std::string(gates::CauseName(result.cause()))}};
}

}  // namespace

void PromotionMetrics::Set(const std::string& site, const std::vector<gates::GateResult>& results) {
  std::optional<gates::Cause> worst;
  std::vector<base::metrics::Labels> series;
  for (const gates::GateResult& result : results) {
    series.push_back(LabelsOf(site, result));
    if (result.verdict == gates::Verdict::kPass) continue;
    worst = worst ? std::min(*worst, result.cause()) : result.cause();
  }
  blocked_.Set(site, worst);
  const std::lock_guard lock(mutex_);
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
