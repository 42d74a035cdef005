// The evaluator: one pure function decides every gate, for the controller, the CLI and the page.
//
// Invariants (each has a test):
//  1. The same gate, evidence, previous result, context and time give the same result.
//  2. No number, no Pass: NaN, infinities, nothing, several series, stale or too few samples, and a
//     provider that did not answer all hold. No Pass is eternal (valid_until).
//  3. A Hold or Fail is left only by evidence whose data is newer than that of the result before
//     (or by an exemption). Evidence that does not answer leaves what was judged before standing.
//  4. A time at a boundary is past it: an exemption or a Pass that ends at t is over at t; a soak
//     that ends at t is over at t.
//  5. Causes are listed in the order of cause.h; the first one decides the verdict.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "controller/base/clock.h"
#include "reconcilers/gates/cause.h"
#include "reconcilers/gates/evidence.h"
#include "reconcilers/gates/gate.h"

namespace sluice::gates {

// A waiver with an end. `also` are the causes beyond GateFailed and BudgetCaution that its Decision
// names; only NoData and ProviderError can be named.
struct Exemption {
  std::string name;
  std::vector<std::string> gates;
  std::vector<Cause> also;
  base::WallTime expires_at;
  std::vector<std::string> freezes;  // freeze windows it opens
};
// The one predicate on every path: expiry exactly now is expired.
bool IsActive(const Exemption& exemption, base::WallTime now);

// A freeze window that is closed now, for this subject; or one that cannot be read, which holds as
// Misconfigured until it is corrected (`problem` says why).
struct Freeze {
  std::string name;
  std::string reason;
  base::WallTime reopens_at;
  std::vector<ChangeClass> exceptions;
  std::string problem;
};

struct CauseDetail {
  Cause cause = Cause::kPending;
  std::string message;
  friend bool operator==(const CauseDetail&, const CauseDetail&) = default;
};

struct GateResult {
  std::string gate;
  Verdict verdict = Verdict::kHold;
  std::vector<CauseDetail> causes;  // never empty; the first one is shown
  std::string value;                // what was judged, a decimal; empty when there was none
  std::string threshold;
  base::WallTime evaluated_at;
  base::WallTime valid_until;               // when the result must be earned again
  base::WallTime since;                     // since when verdict and first cause stand
  std::optional<base::WallTime> data_time;  // of the data it rests on
  std::string evidence_hash;
  std::string unblocked_by;  // who or what can unblock it; empty for a Pass
  // What the evidence itself said, while an exemption stands in for it.
  std::optional<Verdict> raw_verdict;
  std::optional<Cause> raw_cause;
  std::string exempted_by;  // the exemption's name
  // What the Promotion or Rollout does about it; meaningful unless it is a Pass.
  Reaction reaction = Reaction::kHold;

  // The new evidence meets the objective but its data is not newer: look again soon.
  bool latched = false;

  Cause cause() const { return causes.front().cause; }
  const std::string& message() const { return causes.front().message; }
  friend bool operator==(const GateResult&, const GateResult&) = default;
};

struct Context {
  std::vector<Exemption> exemptions;
  std::vector<Freeze> freezes;
  ChangeClass change_class = ChangeClass::kOrdinary;
  bool audit_writable = true;
  // Evidence gathered longer ago than this decides nothing; zero: no limit (a CLI that shows what a
  // status recorded).
  base::Duration max_evidence_age = kEvidenceMaxAge;
};

GateResult EvaluateGate(const Gate& gate, const Evidence& evidence,
                        const std::optional<GateResult>& previous, const Context& context,
                        base::WallTime now);

struct StageResult {
  std::vector<GateResult> gates;  // the plan's, in its order, after those of the context
  bool passed = false;            // every gate passes, and at least one was asked
  bool abort = false;             // a gate that is not passed says so
  bool revert = false;            // a gate that failed says so; a Promotion holds then
};

// All gates of a stage. A gate without evidence is Pending; a gate named twice is Misconfigured.
// What holds the whole step (a freeze, an audit log that cannot be written) comes as a result named
// "freeze" or "audit". `previous` are the results before, in any order.
StageResult Evaluate(const std::vector<Gate>& gates, const std::vector<Evidence>& evidence,
                     const std::vector<GateResult>& previous, const Context& context,
                     base::WallTime now);

// The results that hold, the most severe first (rank of the cause, then the plan's order).
std::vector<const GateResult*> Blockers(const StageResult& result);

}  // namespace sluice::gates
