#include "reconcilers/gates/judge.h"

#include <fmt/format.h>

#include <algorithm>

#include "controller/base/time_format.h"
#include "reconcilers/gates/limits.h"
#include "reconcilers/gates/slo_series.h"

namespace sluice::gates {
namespace {

using base::HumanDuration;
using base::WallTime;

// One window's value as a number; what keeps it from being one goes to `out`.
std::optional<Decimal> Number(const Reading& reading, const Evidence& evidence,
                              std::string_view what, Judgement& out) {
  if (auto wrong = NotANumber(reading, evidence, what)) {
    out.causes.push_back(*std::move(wrong));
    return std::nullopt;
  }
  return *Decimal::Parse(reading.value);
}

std::string Over(const WindowEvidence& window) {
  if (window.start) return " in the period since " + base::FormatRfc3339(*window.start);
  return window.window.count() == 0 ? "" : " over " + HumanDuration(window.window);
}

void JudgeSamples(const WindowEvidence& window, std::int64_t minimum, const Evidence& evidence,
                  Judgement& out) {
  if (minimum <= 0) return;
  if (!window.samples) {
    return out.Add(Cause::kInsufficientSamples, "the number of samples was not read");
  }
  const auto count = Number(*window.samples, evidence, "the number of samples", out);
  if (count && *count < Decimal::FromInt(minimum)) {
    out.Add(Cause::kInsufficientSamples,
            fmt::format("{} of at least {} samples{}", count->Rounded(0), minimum, Over(window)));
  }
}

// Whether the calendar's period began so recently that nothing read is of it alone.
bool HasJustBegun(const WindowEvidence& budget, const Evidence& evidence, Judgement& out) {
  if (!budget.start) return false;
  const base::Duration age = evidence.observed_at - *budget.start;
  const base::Duration least = BaseWindow(evidence.scrape_interval);
  if (age >= least) return false;
  out.Add(Cause::kInsufficientSamples,
          fmt::format("the period began {} ago, its budget is read after {}", HumanDuration(age),
                      HumanDuration(least)));
  return true;
}

// The objective's policy on what is left of its budget.
void JudgePolicy(Decimal left, const SloFacts& slo, const std::string& over, const Context& context,
                 Judgement& out) {
  if (left <= Decimal()) {
    out.Add(Cause::kBudgetExhausted,
            fmt::format("no error budget left{}: {}", over, left.Percent()));
  }
  const bool excepted = context.change_class != ChangeClass::kOrdinary &&
                        std::find(slo.exceptions.begin(), slo.exceptions.end(),
                                  context.change_class) != slo.exceptions.end();
  if (excepted) return;
  if (left < slo.freeze_below) {
    out.Add(Cause::kBudgetExhausted, fmt::format("budget left{} {}, frozen below {}", over,
                                                 left.Percent(), slo.freeze_below.Percent()));
  }
  if (left < slo.caution_below) {
    out.Add(Cause::kBudgetCaution, fmt::format("budget left {}, caution below {}", left.Percent(),
                                               slo.caution_below.Percent()));
  }
}

void JudgeSlo(const Gate& gate, const Evidence& evidence, const Context& context, Judgement& out) {
  out.threshold = gate.min_budget_remaining.ToString();
  if (!evidence.slo || evidence.windows.size() != 1) {
    return out.Add(Cause::kMisconfigured, "the evidence is not about an objective's budget");
  }
  const SloFacts& slo = *evidence.slo;
  const WindowEvidence& window = evidence.windows.front();
  if (HasJustBegun(window, evidence, out)) return JudgeFreshness(evidence, out);
  JudgeSamples(window, std::max(gate.min_samples, slo.min_events), evidence, out);
  JudgeFreshness(evidence, out);
  const auto ratio = Number(window.value, evidence, "the share of bad events" + Over(window), out);
  if (!ratio) return;
  const Decimal left = BudgetRemaining(*ratio, slo.target);
  out.value = left.ToString();
  out.met =
      fmt::format("budget left {} (needs {})", left.Percent(), gate.min_budget_remaining.Percent());
  if (left < gate.min_budget_remaining) {
    out.failed = true;
    out.Add(Cause::kGateFailed, out.met);
  }
  JudgePolicy(left, slo, Over(window), context, out);
}

// Long and short window: a breach in both fails, in the long one alone it recovers. A breach in the
// short one alone has just begun: it holds, since nothing advances into trouble.
void JudgeWindows(const Evidence& evidence, const std::vector<Decimal>& values,
                  const std::vector<bool>& breach, std::string_view limit, int digits,
                  Judgement& out) {
  const auto& windows = evidence.windows;
  if (values.size() == 1) {
    out.met = fmt::format("{}{} ({})", values[0].Rounded(digits), Over(windows[0]), limit);
    if (breach[0]) {
      out.failed = true;
      out.Add(Cause::kGateFailed, out.met);
    }
    return;
  }
  out.met = fmt::format("{}{}, {}{} ({})", values[0].Rounded(digits), Over(windows[0]),
                        values[1].Rounded(digits), Over(windows[1]), limit);
  if (breach[0] && breach[1]) {
    out.failed = true;
    out.Add(Cause::kGateFailed, out.met);
  } else if (breach[0]) {
    out.Add(Cause::kRecovering, out.met);
  } else if (breach[1]) {
    out.Add(Cause::kGateFailed, "just begun: " + out.met);
  }
}

void JudgeBurnRate(const Gate& gate, const Evidence& evidence, const Context& context,
                   Judgement& out) {
  out.threshold = gate.burn_below.ToString();
  if (!evidence.slo || evidence.windows.size() != 2) {
    return out.Add(Cause::kMisconfigured, "the evidence is not about two windows of an objective");
  }
  JudgeFreshness(evidence, out);
  std::vector<Decimal> burns;
  std::vector<bool> breach;
  for (const WindowEvidence& window : evidence.windows) {
    JudgeSamples(window, gate.min_samples, evidence, out);
    const auto ratio =
        Number(window.value, evidence, "the share of bad events" + Over(window), out);
    if (!ratio) continue;
    burns.push_back(BurnRate(*ratio, evidence.slo->target));
    breach.push_back(burns.back() >= gate.burn_below);
  }
  // What the budget's policy holds is held here too, whether or not the budget burns now.
  if (evidence.budget && !HasJustBegun(*evidence.budget, evidence, out)) {
    const std::string over = Over(*evidence.budget);
    const auto ratio =
        Number(evidence.budget->value, evidence, "the share of bad events" + over, out);
    if (ratio) {
      JudgePolicy(BudgetRemaining(*ratio, evidence.slo->target), *evidence.slo, over, context, out);
    }
  }
  if (burns.size() != 2) return;
  out.value = std::max(burns[0], burns[1]).ToString();
  JudgeWindows(evidence, burns, breach, "below " + gate.burn_below.ToString(), 2, out);
  if (out.causes.empty()) {
    out.met = fmt::format("{} over {} and {} (below {})", std::max(burns[0], burns[1]).Rounded(2),
                          HumanDuration(evidence.windows[0].window),
                          HumanDuration(evidence.windows[1].window), gate.burn_below.ToString());
  }
}

void JudgeMetric(const Gate& gate, const Evidence& evidence, Judgement& out) {
  out.threshold = gate.threshold.ToString();
  if (evidence.windows.empty() || evidence.windows.size() > 2) {
    return out.Add(Cause::kMisconfigured, "the evidence is not about one or two windows");
  }
  JudgeFreshness(evidence, out);
  std::vector<Decimal> values;
  std::vector<bool> breach;
  for (const WindowEvidence& window : evidence.windows) {
    JudgeSamples(window, gate.min_samples, evidence, out);
    const auto value = Number(window.value, evidence, "the query" + Over(window), out);
    if (!value) continue;
    values.push_back(*value);
    breach.push_back(!Holds(*value, gate.op, gate.threshold));
  }
  if (values.size() != evidence.windows.size()) return;
  out.value = values[0].ToString();
  JudgeWindows(evidence, values, breach,
               fmt::format("needs {} {}", ComparisonSymbol(gate.op), gate.threshold.ToString()), 4,
               out);
}

// Time is the evidence: `observed_at`, not the evaluator's now, so that a replay agrees.
void JudgeSoak(const Gate& gate, const Evidence& evidence, Judgement& out) {
  const auto seconds = [](base::Duration d) {
    return Decimal::FromInt(std::chrono::duration_cast<std::chrono::seconds>(d).count()).ToString();
  };
  out.threshold = seconds(gate.soak);
  if (!evidence.soak) return out.Add(Cause::kMisconfigured, "the evidence is not about a soak");
  if (!evidence.soak->entered_at) {
    out.Add(Cause::kPending, "the stage below has not been entered");
    return;
  }
  const base::Duration soaked =
      std::max<base::Duration>(evidence.observed_at - *evidence.soak->entered_at, {});
  out.value = seconds(soaked);
  out.met = fmt::format("{} of {}", HumanDuration(soaked), HumanDuration(gate.soak));
  if (soaked >= gate.soak) return;
  out.unblocked_by =
      "time: " + base::FormatRfc3339(*evidence.soak->entered_at +
                                     std::chrono::duration_cast<WallTime::duration>(gate.soak));
  out.Add(Cause::kSoaking, out.met);
}

// As a metric, with a limit that was measured and not chosen.
void JudgeGpuIdle(const Gate& gate, const Evidence& evidence, base::WallTime now, Judgement& out) {
  const auto limit = IdleLimit(gate, evidence, now, out);
  Gate as_metric = gate;
  as_metric.op = Comparison::kLte;
  if (limit) as_metric.threshold = *limit;
  Judgement measured;
  JudgeMetric(as_metric, evidence, measured);
  const auto value = Decimal::Parse(measured.value);
  if (value.ok() && (value->IsNegative() || *value > Decimal::FromInt(1))) {
    return out.Add(Cause::kMisconfigured,
                   fmt::format("the query gave {}, which is no share from 0 to 1", measured.value));
  }
  out.value = measured.value;
  if (!limit) return;
  const auto until = out.holds_until;
  out = std::move(measured);
  out.holds_until = until;
}

}  // namespace

std::optional<CauseDetail> NotANumber(const Reading& reading, const Evidence& evidence,
                                      std::string_view what) {
  if (reading.bad_query) {
    return CauseDetail{Cause::kMisconfigured, fmt::format("{}: {}", what, reading.error)};
  }
  if (!reading.error.empty()) return CauseDetail{Cause::kProviderError, reading.error};
  if (reading.series > 1) {
    return CauseDetail{Cause::kMisconfigured,
                       fmt::format("{} gave {} series where one is meant", what, reading.series)};
  }
  if (reading.series <= 0) {
    if (evidence.ever_returned == false) {
      return CauseDetail{Cause::kMisconfigured,
                         fmt::format("{} never returned data in its learning window: is the name "
                                     "right?",
                                     what)};
    }
    return CauseDetail{Cause::kNoData, fmt::format("{} gave nothing", what)};
  }
  if (!Decimal::Parse(reading.value).ok()) {
    return CauseDetail{Cause::kNoData,
                       fmt::format("{} gave {}, which is no number", what, reading.value)};
  }
  return std::nullopt;
}

void JudgeFreshness(const Evidence& evidence, Judgement& out) {
  if (evidence.scrape_interval.count() <= 0 || evidence.freshness.empty()) {
    return out.Add(Cause::kMisconfigured, "nothing tells how fresh the value is");
  }
  const base::Duration limit = kStaleScrapes * evidence.scrape_interval;
  for (const Reading& newest : evidence.freshness) {
    if (newest.error.empty() && newest.series == 0) {
      out.Add(Cause::kStaleData, "no current sample: " + newest.query);
      continue;
    }
    const auto seconds = Number(newest, evidence, "the freshness query", out);
    if (!seconds) continue;
    const Decimal observed = Decimal::FromInt(std::chrono::duration_cast<std::chrono::milliseconds>(
                                                  evidence.observed_at.time_since_epoch())
                                                  .count()) /
                             Decimal::FromInt(1000);
    const Decimal age = observed - *seconds;
    const Decimal most =
        Decimal::FromInt(std::chrono::duration_cast<std::chrono::seconds>(limit).count());
    if (age > most) {
      out.Add(Cause::kStaleData, fmt::format("the newest sample is {} s old, the limit is {} s",
                                             age.Rounded(1), most.ToString()));
    } else if (Decimal() - age > most) {
      out.Add(Cause::kStaleData, fmt::format("the newest sample is {} s in the future: clocks "
                                             "disagree",
                                             (Decimal() - age).Rounded(1)));
    }
  }
}

Judgement Judge(const Gate& gate, const Evidence& evidence, const Context& context, WallTime now) {
  Judgement out;
  if (!evidence.misconfigured.empty()) {
    out.Add(Cause::kMisconfigured, evidence.misconfigured);
    return out;
  }
  switch (gate.kind) {
    case GateKind::kSlo:
      JudgeSlo(gate, evidence, context, out);
      break;
    case GateKind::kBurnRate:
      JudgeBurnRate(gate, evidence, context, out);
      break;
    case GateKind::kMetric:
      JudgeMetric(gate, evidence, out);
      break;
    case GateKind::kSoak:
      JudgeSoak(gate, evidence, out);
      break;
    case GateKind::kReadiness:
      JudgeReadiness(gate, evidence, now, out);
      break;
    case GateKind::kApproval:
      JudgeApproval(gate, evidence, now, out);
      break;
    case GateKind::kDrill:
      JudgeDrill(gate, evidence, now, out);
      break;
    case GateKind::kCapacity:
      JudgeCapacity(gate, evidence, out);
      break;
    case GateKind::kIncident:
      JudgeIncident(gate, evidence, out);
      break;
    case GateKind::kGpuIdle:
      JudgeGpuIdle(gate, evidence, now, out);
      break;
    case GateKind::kExternal:
      JudgeExternal(evidence, out);
      break;
    case GateKind::kUnknown:
      out.Add(Cause::kMisconfigured, "this controller does not know this kind of gate");
      break;
  }
  const base::Duration limit =
      std::max<base::Duration>(context.max_evidence_age, kStaleScrapes * evidence.scrape_interval);
  if (context.max_evidence_age.count() > 0 && now - evidence.observed_at > limit) {
    out.Add(Cause::kStaleData, fmt::format("the evidence was gathered {} ago",
                                           HumanDuration(now - evidence.observed_at)));
  }
  return out;
}

}  // namespace sluice::gates
