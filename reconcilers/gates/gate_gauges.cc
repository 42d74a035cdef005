#include "reconcilers/gates/gate_gauges.h"

#include <algorithm>
#include <optional>

namespace sluice::gates {
namespace {

constexpr const char* kVerdictFamily = "sluice_gate_verdict";
constexpr const char* kVerdictHelp =
    "1 for the present verdict of each gate of an open Promotion, or of the next wave of a "
    "Rollout.";
constexpr const char* kDeadlineFamily = "sluice_gate_hold_deadline_seconds";
constexpr const char* kDeadlineHelp =
    "When a gate that holds will have held for its maxHoldSeconds (Unix time).";

}  // namespace

GateGauges::Series GateGauges::Deadlines(const std::string& object,
                                         const std::vector<GateResult>& results,
                                         const std::vector<Gate>& gates) {
  const auto before = std::move(held_since_[object]);
  auto& held = held_since_[object] = {};
  Series out;
  for (const GateResult& result : results) {
    if (result.verdict == Verdict::kPass) continue;
    const auto earlier = before.find(result.gate);
    const base::WallTime since =
        earlier == before.end() ? result.since : std::min(earlier->second, result.since);
    held.emplace(result.gate, since);
    const auto gate = std::find_if(gates.begin(), gates.end(),
                                   [&](const Gate& g) { return g.name == result.gate; });
    if (gate == gates.end() || gate->max_hold <= base::Duration::zero()) continue;
    out[{{"kind", kind_}, {"name", object}, {"gate", result.gate}}] =
        std::chrono::duration<double>(since.time_since_epoch() + gate->max_hold).count();
  }
  if (held.empty()) held_since_.erase(object);
  return out;
}

void GateGauges::Show(const char* family, const char* help, std::map<std::string, Series>& all,
                      const std::string& object, Series series) {
  const auto found = all.find(object);
  const Series before = found == all.end() ? Series() : found->second;
  if (before == series) return;
  const bool gone = std::any_of(before.begin(), before.end(),
                                [&](const auto& each) { return series.count(each.first) == 0; });
  const auto set = [&](const Series& shown) {
    for (const auto& [labels, value] : shown) registry_.GetGauge(family, help, labels).Set(value);
  };
  if (series.empty()) {
    all.erase(object);
  } else {
    all[object] = series;
  }
  if (!gone) return set(series);
  registry_.RemoveSeries(family, "kind", kind_);
  for (const auto& [name, shown] : all) set(shown);
}

void GateGauges::Set(const std::string& object, const std::vector<GateResult>& results,
                     const std::vector<Gate>& gates) {
  std::optional<Cause> worst;
  Series verdicts;
  for (const GateResult& result : results) {
    verdicts[{{"kind", kind_},
              {"name", object},
              {"gate", result.gate},
              {"verdict", std::string(VerdictName(result.verdict))},
              {"cause", std::string(CauseName(result.cause()))}}] = 1;
    if (result.verdict == Verdict::kPass) continue;
    worst = worst ? std::min(*worst, result.cause()) : result.cause();
  }
  blocked_.Set(object, worst);
  const std::lock_guard lock(mutex_);
  Show(kDeadlineFamily, kDeadlineHelp, deadlines_, object, Deadlines(object, results, gates));
  Show(kVerdictFamily, kVerdictHelp, verdicts_, object, std::move(verdicts));
}

void GateGauges::SetStuck(const std::string& object, Cause cause) {
  Set(object, {});
  blocked_.Set(object, cause);
}

}  // namespace sluice::gates
