#include "reconcilers/gates/cause.h"

#include <array>

#include "controller/base/check.h"

namespace sluice::gates {
namespace {

struct CauseRow {
  Cause cause;
  std::string_view name;
  std::string_view unblocked_by;
};

constexpr std::array<CauseRow, kCauseCount> kCauses = {{
    {Cause::kMisconfigured, "Misconfigured", "whoever owns the plan or the SLO: correct it"},
    {Cause::kAuditUnavailable, "AuditUnavailable", "operators: make the audit log writable"},
    {Cause::kEndOfLife, "EndOfLife", "a rollout to a supported release"},
    {Cause::kFrozen, "Frozen", "time: the freeze window closes"},
    {Cause::kIncidentOpen, "IncidentOpen", "the incident's owner: close it"},
    {Cause::kBudgetExhausted, "BudgetExhausted", "time without errors, until budget is left"},
    {Cause::kGateFailed, "GateFailed", "evidence that meets the objective"},
    {Cause::kBudgetCaution, "BudgetCaution", "time without errors, or an exemption"},
    {Cause::kRecovering, "Recovering", "time: the long window has to clear"},
    {Cause::kNoData, "NoData", "samples from the SLI's source"},
    {Cause::kStaleData, "StaleData", "fresh samples: is the target scraped?"},
    {Cause::kProviderError, "ProviderError", "operators: make Prometheus answer"},
    {Cause::kInsufficientSamples, "InsufficientSamples", "more traffic"},
    {Cause::kRefused, "Refused", "the decision's deciders"},
    {Cause::kApprovalOutdated, "ApprovalOutdated", "approvers: approve the current generation"},
    {Cause::kAwaitingApproval, "AwaitingApproval", "approvers"},
    {Cause::kReadinessMissing, "ReadinessMissing", "owners of the missing items"},
    {Cause::kSoaking, "Soaking", "time"},
    {Cause::kWaitingForCapacity, "WaitingForCapacity", "operators: add nodes"},
    {Cause::kPending, "Pending", "the controller: work is under way"},
    {Cause::kExempted, "Exempted", ""},
    {Cause::kMet, "Met", ""},
}};

constexpr bool InOrder() {
  for (int i = 0; i < kCauseCount; ++i) {
    if (static_cast<int>(kCauses[static_cast<std::size_t>(i)].cause) != i) return false;
  }
  return true;
}
static_assert(InOrder(), "rows stand in the order of the enumerators");

const CauseRow& Row(Cause cause) {
  const auto index = static_cast<std::size_t>(cause);
  SLUICE_CHECK(index < kCauses.size());
  return kCauses[index];
}

}  // namespace

std::string_view VerdictName(Verdict verdict) {
  switch (verdict) {
    case Verdict::kPass:
      return "Pass";
    case Verdict::kHold:
      return "Hold";
    case Verdict::kFail:
      return "Fail";
  }
  SLUICE_CHECK(false);
  return {};
}

std::optional<Verdict> VerdictFromName(std::string_view name) {
  for (const Verdict v : {Verdict::kPass, Verdict::kHold, Verdict::kFail}) {
    if (VerdictName(v) == name) return v;
  }
  return std::nullopt;
}

std::string_view CauseName(Cause cause) { return Row(cause).name; }

std::optional<Cause> CauseFromName(std::string_view name) {
  for (const CauseRow& row : kCauses) {
    if (row.name == name) return row.cause;
  }
  return std::nullopt;
}

bool IsNoAnswer(Cause cause) {
  return cause == Cause::kNoData || cause == Cause::kStaleData || cause == Cause::kProviderError ||
         cause == Cause::kInsufficientSamples;
}

bool IsJudgement(Cause cause) {
  return cause == Cause::kBudgetExhausted || cause == Cause::kGateFailed ||
         cause == Cause::kBudgetCaution || cause == Cause::kRecovering;
}

std::string_view UnblockedBy(Cause cause) { return Row(cause).unblocked_by; }

}  // namespace sluice::gates
