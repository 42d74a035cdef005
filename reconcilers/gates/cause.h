// Verdicts and causes: the vocabulary of every gate, and the one order in which causes are shown.
//
// The enumerators of Cause stand in the order of precedence: the first cause of a verdict is the
// one with the smallest value. NoData, StaleData, ProviderError and InsufficientSamples share a
// rank; among them the order below decides, so that the order is total. Names are API: they appear
// in statuses, metrics and the CLI.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace sluice::gates {

enum class Verdict : std::uint8_t { kPass, kHold, kFail };

enum class Cause : std::uint8_t {
  kMisconfigured,
  kAuditUnavailable,
  kEndOfLife,
  kFrozen,
  kIncidentOpen,
  kBudgetExhausted,
  kGateFailed,
  kBudgetCaution,
  kRecovering,
  kNoData,
  kStaleData,
  kProviderError,
  kInsufficientSamples,
  kRefused,
  kApprovalOutdated,
  kAwaitingApproval,
  kReadinessMissing,
  kSoaking,
  kWaitingForCapacity,
  kPending,
  // The causes of a Pass.
  kExempted,
  kMet,
};
inline constexpr int kCauseCount = static_cast<int>(Cause::kMet) + 1;

std::string_view VerdictName(Verdict verdict);  // "Pass"
std::optional<Verdict> VerdictFromName(std::string_view name);
std::string_view CauseName(Cause cause);  // "BudgetExhausted"
std::optional<Cause> CauseFromName(std::string_view name);

// The evidence gave no answer (NoData to InsufficientSamples); it says nothing about the objective.
bool IsNoAnswer(Cause cause);
// The evidence answered, and the objective was not (safely) met.
bool IsJudgement(Cause cause);

// Who or what can unblock a gate held by `cause`, for people; empty for the causes of a Pass.
std::string_view UnblockedBy(Cause cause);

}  // namespace sluice::gates
