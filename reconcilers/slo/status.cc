#include "reconcilers/slo/status.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "api/types/conditions.h"
#include "api/types/kinds.h"
#include "api/v1alpha1/common.pb.h"
#include "api/v1alpha1/service_level_objective.pb.h"
#include "controller/base/time_format.h"
#include "reconcilers/gates/evaluate.h"
#include "reconcilers/gates/objects/convert.h"
#include "reconcilers/slo/limits.h"

namespace sluice::slo {
namespace {

using gates::Cause;
using gates::Decimal;
using v1alpha1::ServiceLevelObjectiveStatus;

constexpr std::string_view kMeasurable = "Measurable";
constexpr std::string_view kRulesReady = "RulesReady";

std::optional<Decimal> Ratio(const gates::WindowEvidence& window) {
  if (!window.value.error.empty() || window.value.series != 1) return std::nullopt;
  const auto value = Decimal::Parse(window.value.value);
  if (!value.ok()) return std::nullopt;
  return std::clamp(*value, Decimal(), Decimal::FromInt(1));
}

void FillNumbers(const gates::Slo& slo, const std::vector<gates::Evidence>& evidence,
                 ServiceLevelObjectiveStatus& status) {
  const gates::Evidence& budget = evidence.front();
  if (!budget.windows.empty()) {
    if (const auto& start = budget.windows.front().start) {
      status.set_window_start(base::FormatRfc3339(*start));
    }
    if (const auto ratio = Ratio(budget.windows.front())) {
      const Decimal left = gates::BudgetRemaining(*ratio, slo.target);
      status.set_budget_remaining(left.Rounded(4));
      status.set_budget_state(std::string(
          gates::BudgetStateName(gates::StateOf(left, slo.caution_below, slo.freeze_below))));
      status.set_value((Decimal::FromInt(1) - *ratio).Rounded(6));
    }
    const auto& samples = budget.windows.front().samples;
    if (samples && samples->error.empty() && samples->series == 1) {
      const auto events = Decimal::Parse(samples->value);
      if (events.ok()) status.set_events(events->Floor());
    }
  }
  const std::vector<gates::WindowPair> pairs = gates::WindowsOf(slo);
  for (std::size_t i = 0; i < pairs.size() && i < static_cast<std::size_t>(kMaxPairs); ++i) {
    v1alpha1::BurnRate& burn = *status.add_burn_rates();
    burn.set_severity(pairs[i].severity == gates::Severity::kPage ? "Page" : "Ticket");
    burn.set_factor(pairs[i].factor.Rounded(3));
    burn.set_long_window(base::FormatDuration(pairs[i].long_window));
    burn.set_short_window(base::FormatDuration(pairs[i].short_window));
    if (i + 1 >= evidence.size() || evidence[i + 1].windows.size() != 2) continue;
    const auto burn_of = [&](std::size_t window) -> std::optional<std::string> {
      const auto ratio = Ratio(evidence[i + 1].windows[window]);
      if (!ratio) return std::nullopt;
      return gates::BurnRate(*ratio, slo.target).Rounded(2);
    };
    if (const auto value = burn_of(0)) burn.set_long_burn(*value);
    if (const auto value = burn_of(1)) burn.set_short_burn(*value);
  }
}

// What keeps the objective from being measured, by the evaluator's own judgement.
std::optional<gates::CauseDetail> Unmeasured(const Read& read, base::WallTime now) {
  if (!read.slo.ok()) return gates::CauseDetail{Cause::kMisconfigured, read.slo.status().message()};
  if (read.evidence.empty()) return gates::CauseDetail{Cause::kNoData, "not read yet"};
  gates::Gate gate = ReadingGates(*read.slo).front();
  const gates::GateResult result =
      gates::EvaluateGate(gate, read.evidence.front(), std::nullopt, {}, now);
  for (const gates::CauseDetail& cause : result.causes) {
    if (cause.cause == Cause::kMisconfigured || gates::IsNoAnswer(cause.cause)) return cause;
  }
  return std::nullopt;
}

void SetConditions(const Read& read, std::int64_t generation, base::WallTime now,
                   ServiceLevelObjectiveStatus& status) {
  const auto set = [&](std::string_view type, bool value, std::string_view reason,
                       std::string_view message) {
    types::SetCondition(status.mutable_conditions(),
                        {type, value ? types::kTrue : types::kFalse, reason, message, generation},
                        now);
  };
  const auto wrong = Unmeasured(read, now);
  if (wrong) {
    set(kMeasurable, false, gates::CauseName(wrong->cause), wrong->message);
  } else {
    set(kMeasurable, true, "Measured", "Prometheus answers with fresh data");
  }
  if (read.rules_error.ok() && !read.rules_object.empty()) {
    set(kRulesReady, true, "Applied", read.rules_object);
  } else {
    set(kRulesReady, false, read.slo.ok() ? "ApplyFailed" : "Misconfigured",
        read.rules_error.ok() ? "there are no rules" : read.rules_error.message());
  }
  const auto* rules = types::FindCondition(status.conditions(), kRulesReady);
  if (wrong) {
    set(types::kReady, false, gates::CauseName(wrong->cause), wrong->message);
  } else if (rules->status() != types::kTrue) {
    set(types::kReady, false, rules->reason(), rules->message());
  } else {
    set(types::kReady, true, "Measured", "the budget is measured and its rules are in place");
  }
}

// Whether two numbers differ by more than `share` of the greater and more than `least`.
bool Moved(const std::string& before, const std::string& after, Decimal share, Decimal least) {
  if (before.empty() != after.empty()) return true;
  const auto a = Decimal::Parse(before.empty() ? "0" : before);
  const auto b = Decimal::Parse(after.empty() ? "0" : after);
  if (!a.ok() || !b.ok()) return before != after;
  const Decimal low = std::min(*a, *b), high = std::max(*a, *b);
  const Decimal size = std::max(high, Decimal() - low);
  return high - low > std::max(least, size * share);
}

// Whether two messages differ in numbers only.
bool SameWords(std::string a, std::string b) {
  const auto number = [](char c) { return (c >= '0' && c <= '9') || c == '.'; };
  std::erase_if(a, number);
  std::erase_if(b, number);
  return a == b;
}

// Where the words of the server itself begin in what a provider said: they may carry times and
// counts of its own. The end, where all is ours.
std::size_t ServersWords(const std::string& message) {
  for (const std::string_view ours :
       {"Prometheus answered ", "the query timed out: ", "warning: "}) {
    if (message.compare(0, ours.size(), ours) == 0) return message.find(": ");
  }
  return std::string::npos;
}

// Whether a message says what the other says, but for measurements that move at every look. A
// number in a name, an HTTP status or a position is part of what is said.
bool SaysTheSame(const std::string& reason, const std::string& a, const std::string& b) {
  const auto cause = gates::CauseFromName(reason);
  if (cause == Cause::kStaleData || cause == Cause::kInsufficientSamples) return SameWords(a, b);
  if (cause == Cause::kProviderError) {
    const std::size_t at = ServersWords(a);
    if (at == std::string::npos || at != ServersWords(b)) return a == b;
    return a.compare(0, at, b, 0, at) == 0 && SameWords(a.substr(at), b.substr(at));
  }
  const auto counts_series = [](const std::string& message) {
    constexpr std::string_view kEnd = " series where one is meant";
    return message.size() > kEnd.size() &&
           message.compare(message.size() - kEnd.size(), kEnd.size(), kEnd) == 0;
  };
  return counts_series(a) && counts_series(b) ? SameWords(a, b) : a == b;
}

}  // namespace

std::vector<gates::Gate> ReadingGates(const gates::Slo& slo) {
  std::vector<gates::Gate> out;
  gates::Gate budget;
  budget.name = "budget";
  budget.kind = gates::GateKind::kSlo;
  budget.slo_template = slo.name;
  budget.min_samples = 1;  // the events are always read, and shown
  budget.min_budget_remaining = Decimal() - Decimal::FromInt(1'000'000'000);
  out.push_back(budget);
  for (const gates::WindowPair& pair : gates::WindowsOf(slo)) {
    gates::Gate burn;
    burn.name = "burn-" + std::to_string(out.size());
    burn.kind = gates::GateKind::kBurnRate;
    burn.slo_template = slo.name;
    burn.burn_below = pair.factor;
    burn.long_window = pair.long_window;
    burn.short_window = pair.short_window;
    out.push_back(burn);
  }
  return out;
}

std::unique_ptr<ServiceLevelObjectiveStatus> BuildStatus(const Read& read,
                                                         const ServiceLevelObjectiveStatus& before,
                                                         std::int64_t generation,
                                                         base::WallTime now) {
  auto status = std::make_unique<ServiceLevelObjectiveStatus>();
  *status->mutable_conditions() = before.conditions();
  status->set_observed_generation(generation);
  status->set_rules_hash(read.rules_hash);
  status->set_rules_object(read.rules_object);
  status->set_evaluated_at(base::FormatRfc3339(now));
  if (read.slo.ok() && !read.evidence.empty()) FillNumbers(*read.slo, read.evidence, *status);
  SetConditions(read, generation, now, *status);
  return status;
}

bool WorthWriting(const ServiceLevelObjectiveStatus& before,
                  const ServiceLevelObjectiveStatus& after) {
  if (before.observed_generation() != after.observed_generation() ||
      before.budget_state() != after.budget_state() || before.rules_hash() != after.rules_hash() ||
      before.rules_object() != after.rules_object() ||
      before.window_start() != after.window_start() ||
      before.conditions_size() != after.conditions_size() ||
      before.burn_rates_size() != after.burn_rates_size() ||
      before.has_events() != after.has_events()) {
    return true;
  }
  for (const v1alpha1::Condition& condition : after.conditions()) {
    const auto* old = types::FindCondition(before.conditions(), condition.type());
    if (old == nullptr || old->status() != condition.status() ||
        old->reason() != condition.reason() ||
        (condition.status() != types::kTrue &&
         !SaysTheSame(condition.reason(), old->message(), condition.message()))) {
      return true;
    }
  }
  const Decimal one = Decimal::FromInt(1);
  const Decimal tenth = one / Decimal::FromInt(10);
  const Decimal hundredth = one / Decimal::FromInt(100);
  for (int i = 0; i < after.burn_rates_size(); ++i) {
    const auto& a = before.burn_rates(i);
    const auto& b = after.burn_rates(i);
    if (a.long_window() != b.long_window() || a.short_window() != b.short_window() ||
        Moved(a.long_burn(), b.long_burn(), tenth, tenth) ||
        Moved(a.short_burn(), b.short_burn(), tenth, tenth)) {
      return true;
    }
  }
  return Moved(before.budget_remaining(), after.budget_remaining(), Decimal(), hundredth) ||
         Moved(before.value(), after.value(), Decimal(), hundredth / Decimal::FromInt(10)) ||
         Moved(std::to_string(before.events()), std::to_string(after.events()), tenth + tenth,
               Decimal::FromInt(10));
}

}  // namespace sluice::slo
