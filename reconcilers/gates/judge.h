// What the evidence says by itself: the rules of each kind of gate, before latching, exemptions and
// times. Internal to reconcilers/gates; pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "reconcilers/gates/evaluate.h"

namespace sluice::gates {

struct Judgement {
  std::vector<CauseDetail> causes;  // empty: met
  bool failed = false;              // GateFailed means Fail, not only Hold
  std::string met;                  // the message of a Pass
  std::string value;
  std::string threshold;
  std::string unblocked_by;                   // where the kind knows more than the cause does
  std::optional<base::WallTime> holds_until;  // when what was met ends by itself

  void Add(Cause cause, std::string message) { causes.push_back({cause, std::move(message)}); }
};

Judgement Judge(const Gate& gate, const Evidence& evidence, const Context& context,
                base::WallTime now);

// What keeps one reading from being a number, if anything: an error, several series, nothing, NaN,
// an infinity. `what` names it for people.
std::optional<CauseDetail> NotANumber(const Reading& reading, const Evidence& evidence,
                                      std::string_view what);
// Appends what is wrong with the age of the data.
void JudgeFreshness(const Evidence& evidence, Judgement& out);

// The rules of the kinds whose evidence is what people and other systems said (judge_people.cc).
void JudgeReadiness(const Gate& gate, const Evidence& evidence, base::WallTime now, Judgement& out);
void JudgeApproval(const Gate& gate, const Evidence& evidence, base::WallTime now, Judgement& out);
void JudgeDrill(const Gate& gate, const Evidence& evidence, base::WallTime now, Judgement& out);
void JudgeCapacity(const Gate& gate, const Evidence& evidence, Judgement& out);
void JudgeIncident(const Gate& gate, const Evidence& evidence, Judgement& out);
void JudgeExternal(const Evidence& evidence, Judgement& out);
// The limit a gpuIdle gate sets, from what was measured before; nullopt when nothing fit to use
// was.
std::optional<Decimal> IdleLimit(const Gate& gate, const Evidence& evidence, base::WallTime now,
                                 Judgement& out);

}  // namespace sluice::gates
