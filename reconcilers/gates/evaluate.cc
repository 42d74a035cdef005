#include "reconcilers/gates/evaluate.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <utility>

#include "controller/base/check.h"
#include "controller/base/time_format.h"
#include "reconcilers/gates/judge.h"
#include "reconcilers/gates/limits.h"

namespace sluice::gates {
namespace {

using base::WallTime;

WallTime Plus(WallTime time, base::Duration by) {
  return time + std::chrono::duration_cast<WallTime::duration>(by);
}

bool Contains(const std::vector<CauseDetail>& causes, Cause cause) {
  return std::any_of(causes.begin(), causes.end(),
                     [&](const CauseDetail& c) { return c.cause == cause; });
}

// In the order of causes, each cause once (its first message stands).
void Order(std::vector<CauseDetail>& causes) {
  std::stable_sort(causes.begin(), causes.end(),
                   [](const CauseDetail& a, const CauseDetail& b) { return a.cause < b.cause; });
  causes.erase(
      std::unique(causes.begin(), causes.end(),
                  [](const CauseDetail& a, const CauseDetail& b) { return a.cause == b.cause; }),
      causes.end());
  for (CauseDetail& c : causes) {
    c.message = Bounded(std::move(c.message), kMaxMessageBytes);
  }
}

bool Answers(const std::vector<CauseDetail>& causes) {
  return std::none_of(causes.begin(), causes.end(), [](const CauseDetail& c) {
    return IsNoAnswer(c.cause) || c.cause == Cause::kMisconfigured;
  });
}

// Invariant 3. What was judged before stands while the new evidence does not answer; everything
// that held before stands while the new evidence is not newer.
void Latch(const Evidence& evidence, const std::optional<GateResult>& previous, GateResult& result,
           bool& failed) {
  if (!previous || previous->causes.empty()) return;
  const Verdict was = previous->raw_verdict.value_or(previous->verdict);
  if (was == Verdict::kPass) return;
  const bool answers = Answers(result.causes);
  // A soak says what time it is; what a query says is as old as its samples.
  const bool newer = evidence.freshness.empty() || !previous->data_time ||
                     (result.data_time && *result.data_time > *previous->data_time);
  if (answers && newer) return;
  for (const CauseDetail& c : previous->causes) {
    if (c.cause == Cause::kExempted || c.cause == Cause::kMet) continue;
    if (!answers && !IsJudgement(c.cause)) continue;
    if (!Contains(result.causes, c.cause)) result.causes.push_back(c);
  }
  if (was == Verdict::kFail && Contains(result.causes, Cause::kGateFailed)) failed = true;
  if (!previous->value.empty()) result.value = previous->value;
  // The data that decides is still that one: nothing older, and nothing that does not answer, makes
  // way for samples from before it.
  if (previous->data_time) result.data_time = previous->data_time;
}

bool Waives(const Exemption& exemption, const Gate& gate, const std::vector<CauseDetail>& causes) {
  if (std::find(exemption.gates.begin(), exemption.gates.end(), gate.name) ==
      exemption.gates.end()) {
    return false;
  }
  return std::all_of(causes.begin(), causes.end(), [&](const CauseDetail& c) {
    if (c.cause == Cause::kGateFailed || c.cause == Cause::kBudgetCaution) return true;
    if (c.cause != Cause::kNoData && c.cause != Cause::kProviderError) return false;
    return std::find(exemption.also.begin(), exemption.also.end(), c.cause) != exemption.also.end();
  });
}

void Exempt(const Gate& gate, const Context& context, WallTime now, GateResult& result) {
  if (result.verdict == Verdict::kPass || !gate.waivable) return;
  for (const Exemption& exemption : context.exemptions) {
    if (!IsActive(exemption, now) || !Waives(exemption, gate, result.causes)) continue;
    result.raw_verdict = result.verdict;
    result.raw_cause = result.cause();
    result.exempted_by = exemption.name;
    result.verdict = Verdict::kPass;
    result.causes.insert(
        result.causes.begin(),
        {Cause::kExempted, fmt::format("by {} until {}; otherwise {}: {}", exemption.name,
                                       base::FormatRfc3339(exemption.expires_at),
                                       CauseName(*result.raw_cause), result.message())});
    result.valid_until = std::min(result.valid_until, exemption.expires_at);
    return;
  }
}

Reaction ReactionTo(const Gate& gate, const GateResult& result) {
  if (result.verdict == Verdict::kFail) return gate.on_fail;
  if (result.cause() == Cause::kProviderError) return gate.on_error;
  return IsNoAnswer(result.cause()) ? gate.on_no_data : Reaction::kHold;
}

GateResult HoldsStep(std::string name, Cause cause, std::string message, WallTime until,
                     const std::vector<GateResult>& previous, WallTime now) {
  GateResult result;
  result.gate = std::move(name);
  result.verdict = Verdict::kHold;
  result.causes = {{cause, std::move(message)}};
  result.evaluated_at = now;
  result.valid_until = until;
  result.since = now;
  result.unblocked_by = UnblockedBy(cause);
  for (const GateResult& before : previous) {
    if (before.gate == result.gate && before.cause() == cause) result.since = before.since;
  }
  return result;
}

// Whether the first of two results of freeze windows is the one to show: what cannot be read, then
// what holds (an exemption's cause is among the last), then what reopens last.
bool Outweighs(const GateResult& a, const GateResult& b) {
  return std::pair(a.cause(), b.valid_until) < std::pair(b.cause(), a.valid_until);
}

GateResult JudgeFreeze(const Freeze& freeze, const Context& context,
                       const std::vector<GateResult>& previous, WallTime now) {
  if (!freeze.problem.empty()) {
    return HoldsStep("freeze", Cause::kMisconfigured,
                     Bounded(fmt::format("{}: {}", freeze.name, freeze.problem), kMaxMessageBytes),
                     Plus(now, kLookInterval), previous, now);
  }
  const std::string message =
      Bounded(fmt::format("{}: {}; reopens at {}", freeze.name, freeze.reason,
                          base::FormatRfc3339(freeze.reopens_at)),
              kMaxMessageBytes);
  for (const Exemption& exemption : context.exemptions) {
    const bool names_it = std::find(exemption.freezes.begin(), exemption.freezes.end(),
                                    freeze.name) != exemption.freezes.end();
    if (!names_it || !IsActive(exemption, now)) continue;
    GateResult result =
        HoldsStep("freeze", Cause::kExempted,
                  Bounded(fmt::format("by {} until {}; otherwise Frozen: {}", exemption.name,
                                      base::FormatRfc3339(exemption.expires_at), message),
                          kMaxMessageBytes),
                  std::min(freeze.reopens_at, exemption.expires_at), previous, now);
    result.verdict = Verdict::kPass;
    result.causes.push_back({Cause::kFrozen, message});
    result.raw_verdict = Verdict::kHold;
    result.raw_cause = Cause::kFrozen;
    result.exempted_by = exemption.name;
    result.unblocked_by.clear();
    return result;
  }
  GateResult result =
      HoldsStep("freeze", Cause::kFrozen, message, freeze.reopens_at, previous, now);
  result.unblocked_by = "time: " + base::FormatRfc3339(freeze.reopens_at);
  return result;
}

// Of all windows that are closed and except no change of this class, the one to show.
std::optional<GateResult> JudgeFreezes(const Context& context,
                                       const std::vector<GateResult>& previous, WallTime now) {
  std::optional<GateResult> out;
  for (const Freeze& freeze : context.freezes) {
    const bool excepted = std::find(freeze.exceptions.begin(), freeze.exceptions.end(),
                                    context.change_class) != freeze.exceptions.end();
    if (freeze.problem.empty() && (excepted || now >= freeze.reopens_at)) continue;
    GateResult result = JudgeFreeze(freeze, context, previous, now);
    if (!out || Outweighs(result, *out)) out = std::move(result);
  }
  return out;
}

}  // namespace

bool IsActive(const Exemption& exemption, WallTime now) { return now < exemption.expires_at; }

GateResult EvaluateGate(const Gate& gate, const Evidence& evidence,
                        const std::optional<GateResult>& previous, const Context& context,
                        WallTime now) {
  Judgement judgement = Judge(gate, evidence, context, now);
  GateResult result;
  result.gate = gate.name;
  result.causes = std::move(judgement.causes);
  result.value = std::move(judgement.value);
  result.threshold = std::move(judgement.threshold);
  result.evaluated_at = now;
  result.valid_until = Plus(now, gate.valid_for);
  if (judgement.holds_until)
    result.valid_until = std::min(result.valid_until, *judgement.holds_until);
  result.data_time = DataTime(evidence);
  result.evidence_hash = EvidenceHash(evidence);
  const bool met = result.causes.empty();
  Latch(evidence, previous, result, judgement.failed);
  Order(result.causes);
  result.latched = met && !result.causes.empty();
  if (result.causes.empty()) {
    result.verdict = Verdict::kPass;
    result.causes = {{Cause::kMet, std::move(judgement.met)}};
    Order(result.causes);
  } else {
    result.verdict =
        result.cause() == Cause::kGateFailed && judgement.failed ? Verdict::kFail : Verdict::kHold;
    result.unblocked_by = judgement.unblocked_by.empty() ? std::string(UnblockedBy(result.cause()))
                                                         : judgement.unblocked_by;
  }
  result.reaction = result.verdict == Verdict::kPass ? Reaction::kHold : ReactionTo(gate, result);
  Exempt(gate, context, now, result);
  if (result.verdict == Verdict::kPass) {
    result.unblocked_by.clear();
    result.reaction = Reaction::kHold;
  }
  const bool stands = previous && !previous->causes.empty() &&
                      previous->verdict == result.verdict && previous->cause() == result.cause();
  result.since = stands ? previous->since : now;
  return result;
}

StageResult Evaluate(const std::vector<Gate>& gates, const std::vector<Evidence>& evidence,
                     const std::vector<GateResult>& previous, const Context& context,
                     WallTime now) {
  StageResult out;
  if (!context.audit_writable) {
    out.gates.push_back(HoldsStep("audit", Cause::kAuditUnavailable,
                                  "the audit log cannot be written", Plus(now, kLookInterval),
                                  previous, now));
  }
  if (auto frozen = JudgeFreezes(context, previous, now)) out.gates.push_back(*std::move(frozen));
  std::map<std::string, int> seen;
  for (const Gate& gate : gates) {
    Evidence own;
    own.gate = gate.name;
    own.observed_at = now;
    const auto found = std::find_if(evidence.begin(), evidence.end(),
                                    [&](const Evidence& e) { return e.gate == gate.name; });
    const auto before = std::find_if(previous.begin(), previous.end(),
                                     [&](const GateResult& r) { return r.gate == gate.name; });
    if (++seen[gate.name] > 1) {
      own.misconfigured = "the plan has two gates of this name";
    } else if (found == evidence.end()) {
      out.gates.push_back(HoldsStep(gate.name, Cause::kPending, "not looked at yet",
                                    Plus(now, kLookInterval), previous, now));
      if (before != previous.end() && !before->causes.empty() &&
          before->verdict != Verdict::kPass) {
        out.gates.back() = *before;
      }
      continue;
    } else {
      own = *found;
    }
    out.gates.push_back(EvaluateGate(
        gate, own, before == previous.end() ? std::nullopt : std::optional<GateResult>(*before),
        context, now));
  }
  out.passed = !out.gates.empty() &&
               std::all_of(out.gates.begin(), out.gates.end(), [&](const GateResult& r) {
                 return r.verdict == Verdict::kPass && now < r.valid_until;
               });
  const auto reacts = [&](Reaction reaction) {
    return std::any_of(out.gates.begin(), out.gates.end(), [&](const GateResult& r) {
      return r.verdict != Verdict::kPass && r.reaction == reaction;
    });
  };
  out.abort = reacts(Reaction::kAbort);
  out.revert = reacts(Reaction::kRevert);
  return out;
}

std::vector<const GateResult*> Blockers(const StageResult& result) {
  std::vector<const GateResult*> out;
  for (const GateResult& gate : result.gates) {
    if (gate.verdict != Verdict::kPass) out.push_back(&gate);
  }
  std::stable_sort(out.begin(), out.end(), [](const GateResult* a, const GateResult* b) {
    return a->cause() < b->cause();
  });
  return out;
}

}  // namespace sluice::gates
