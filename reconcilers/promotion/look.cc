#include "reconcilers/promotion/look.h"

#include <fmt/format.h>

#include <algorithm>

#include "api/types/conditions.h"
#include "api/types/kinds.h"
#include "api/v1alpha1/common.pb.h"
#include "api/v1alpha1/promotion.pb.h"
#include "api/v1alpha1/stage_plan.pb.h"
#include "controller/base/time_format.h"
#include "reconcilers/gates/limits.h"
#include "reconcilers/gates/objects/convert.h"
#include "reconcilers/promotion/limits.h"

namespace sluice::promotion {
namespace {

using base::Duration;
using base::WallTime;
using gates::Cause;
using gates::GateResult;
using gates::Verdict;

gates::Evidence Misconfigured(const std::string& gate, std::string why, WallTime now) {
  gates::Evidence evidence;
  evidence.gate = gate;
  evidence.observed_at = now;
  evidence.misconfigured = std::move(why);
  return evidence;
}

const GateResult* Find(const std::vector<GateResult>& results, const std::string& gate) {
  const auto found = std::find_if(results.begin(), results.end(),
                                  [&](const GateResult& r) { return r.gate == gate; });
  return found == results.end() ? nullptr : &*found;
}

bool SameCauses(const GateResult& a, const GateResult& b) {
  return std::equal(a.causes.begin(), a.causes.end(), b.causes.begin(), b.causes.end(),
                    [](const auto& x, const auto& y) { return x.cause == y.cause; });
}

// The names of what answers otherwise than `recorded` says. After a time without an audit log that
// is everything: what was written meanwhile is in no log.
std::vector<std::string> Changed(const std::vector<GateResult>& recorded,
                                 const std::vector<GateResult>& fresh) {
  std::vector<std::string> names;
  const auto add = [&](const std::string& name) {
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  };
  const bool resumed = Find(recorded, "audit") != nullptr && Find(fresh, "audit") == nullptr;
  for (const GateResult& result : fresh) {
    const GateResult* before = Find(recorded, result.gate);
    if (resumed || before == nullptr || before->verdict != result.verdict ||
        !SameCauses(*before, result)) {
      add(result.gate);
    }
  }
  for (const GateResult& before : recorded) {
    if (Find(fresh, before.gate) == nullptr) add(before.gate);
  }
  return names;
}

WallTime WholeMicros(WallTime time) { return std::chrono::floor<std::chrono::microseconds>(time); }

// What people say has no numbers that move by themselves: another message is news.
bool IsOfPeople(Cause cause) {
  return cause == Cause::kReadinessMissing || cause == Cause::kAwaitingApproval ||
         cause == Cause::kApprovalOutdated || cause == Cause::kRefused ||
         cause == Cause::kIncidentOpen || cause == Cause::kFrozen;
}

// Numbers move all the time; a write is worth it when the answer changed, or when the recorded one
// comes of age: a Pass at half of its validity, a Hold when it has run out.
bool WorthWriting(const std::vector<GateResult>& recorded, const std::vector<GateResult>& fresh,
                  WallTime now) {
  if (recorded.size() != fresh.size()) return true;
  for (const GateResult& result : fresh) {
    const GateResult* before = Find(recorded, result.gate);
    if (before == nullptr || before->verdict != result.verdict || !SameCauses(*before, result) ||
        before->threshold != gates::ShortDecimal(result.threshold)) {
      return true;
    }
    if (IsOfPeople(result.cause()) && before->message() != result.message()) return true;
    const auto validity = before->valid_until - before->evaluated_at;
    const auto age = now - before->evaluated_at;
    if (result.verdict == Verdict::kPass ? age * 2 >= validity : age >= validity) return true;
  }
  return false;
}

// Waits double with the time the provider has been failing, which is how long it was waited for.
Duration AfterProviderError(const GateResult& result, WallTime now) {
  return std::clamp<Duration>(now - result.since, gates::kProviderBackoffFirst,
                              gates::kProviderBackoffLast);
}

// A soak and a freeze say themselves when they are over.
std::optional<Duration> UntilOver(const GateResult& result, WallTime now) {
  constexpr std::string_view kTime = "time: ";
  if (result.unblocked_by.compare(0, kTime.size(), kTime) != 0) return std::nullopt;
  const auto end = base::ParseRfc3339(result.unblocked_by.substr(kTime.size()));
  if (!end.ok()) return std::nullopt;
  return Duration(*end - now);
}

Duration WhenAgain(const gates::StageResult& result, Duration scrape_interval, WallTime now) {
  const Duration usual =
      std::clamp<Duration>(kLookScrapes * scrape_interval, kShortestLook, kLongestLook);
  Duration again = kSoakLook;
  for (const GateResult& gate : result.gates) {
    Duration wait = usual;
    if (gate.verdict == Verdict::kPass) {
      wait = (gate.valid_until - gate.evaluated_at) / 2;
    } else if (gate.latched) {
      wait = kShortestLook;
    } else if (gate.cause() == Cause::kSoaking || gate.cause() == Cause::kFrozen) {
      wait = UntilOver(gate, now).value_or(usual);
    } else if (gate.cause() == Cause::kProviderError) {
      wait = AfterProviderError(gate, now);
    }
    again = std::min(again, std::max<Duration>(wait, std::chrono::milliseconds(500)));
  }
  return again;
}

void SetSucceeded(v1alpha1::PromotionStatus& status, std::string_view value,
                  std::string_view reason, const std::string& message, std::int64_t generation,
                  WallTime now) {
  types::SetCondition(status.mutable_conditions(),
                      {types::kSucceeded, value, reason, message, generation}, now);
}

}  // namespace

Look::Look() : status(std::make_unique<v1alpha1::PromotionStatus>()) {}
Look::Look(Look&&) noexcept = default;
Look& Look::operator=(Look&&) noexcept = default;
Look::~Look() = default;

StageGates GatesOf(const v1alpha1::Promotion& promotion, WallTime now) {
  StageGates out;
  for (const v1alpha1::Stage& stage : promotion.spec().plan().stages()) {
    if (stage.name() != promotion.spec().to()) continue;
    for (const v1alpha1::Gate& message : stage.entry_gates()) {
      auto gate = gates::GateFrom(message);
      if (gate.ok()) {
        out.gates.push_back(*std::move(gate));
        continue;
      }
      gates::Gate unreadable;
      unreadable.name = message.name();
      out.gates.push_back(unreadable);
      out.unreadable.push_back(Misconfigured(message.name(), gate.status().message(), now));
    }
  }
  if (out.gates.empty()) {
    gates::Gate none;
    none.name = "gates";
    out.gates.push_back(none);
    out.unreadable.push_back(Misconfigured(
        "gates", "the stage has no entry gates: nothing could be evidence for it", now));
  }
  return out;
}

std::vector<GateResult> ResultsOf(const v1alpha1::PromotionStatus& status) {
  std::vector<GateResult> out;
  for (const v1alpha1::GateStatus& gate : status.gates()) {
    auto result = gates::ResultFrom(gate);
    if (result.ok()) out.push_back(*std::move(result));
  }
  return out;
}

Look LookAt(const v1alpha1::Promotion& promotion, std::int64_t promotion_generation,
            const StageGates& stage, const std::vector<gates::Evidence>& evidence,
            const std::vector<GateResult>& inherited, const gates::Context& context,
            Duration scrape_interval, WallTime time) {
  Look look;
  const WallTime now = WholeMicros(time);
  const std::vector<GateResult> recorded = ResultsOf(promotion.status());
  std::vector<GateResult> previous = recorded;
  for (const GateResult& before : inherited) {
    if (Find(previous, before.gate) == nullptr) previous.push_back(before);
  }
  std::vector<gates::Evidence> all = stage.unreadable;
  for (const gates::Evidence& e : evidence) {
    const bool unreadable = std::any_of(stage.unreadable.begin(), stage.unreadable.end(),
                                        [&](const auto& u) { return u.gate == e.gate; });
    if (!unreadable) all.push_back(e);
  }
  for (gates::Evidence& e : all) e.observed_at = WholeMicros(e.observed_at);
  look.result = gates::Evaluate(stage.gates, all, previous, context, now);
  for (const std::string& name : Changed(recorded, look.result.gates)) {
    look.changed.push_back(
        gates::RecordOf(name, stage.gates, all, previous, context, now, look.result));
  }
  look.again = WhenAgain(look.result, scrape_interval, now);
  v1alpha1::PromotionStatus& status = *look.status;
  *status.mutable_conditions() = promotion.status().conditions();
  status.set_observed_generation(promotion_generation);
  for (const GateResult& gate : look.result.gates) {
    const auto own =
        std::find_if(all.begin(), all.end(), [&](const auto& e) { return e.gate == gate.gate; });
    *status.add_gates() = gates::StatusOf(gate, own == all.end() ? gates::Evidence{} : *own);
  }
  const auto blockers = gates::Blockers(look.result);
  for (const GateResult* blocker : blockers) *status.add_blocked_by() = gates::BlockerOf(*blocker);
  status.set_next_evaluation_at(
      base::FormatRfc3339(now + std::chrono::duration_cast<WallTime::duration>(look.again)));
  if (look.result.passed) {
    SetSucceeded(status, types::kUnknown, "Promoting", "every gate passes", promotion_generation,
                 now);
  } else if (!blockers.empty()) {
    SetSucceeded(status, types::kUnknown, gates::CauseName(blockers.front()->cause()),
                 fmt::format("{}: {}", blockers.front()->gate, blockers.front()->message()),
                 promotion_generation, now);
  }
  look.write = look.result.passed || WorthWriting(recorded, look.result.gates, now);
  return look;
}

std::unique_ptr<v1alpha1::PromotionStatus> Ended(const v1alpha1::PromotionStatus& before,
                                                 std::int64_t promotion_generation,
                                                 const std::string& outcome,
                                                 const std::string& message, WallTime now) {
  auto status = std::make_unique<v1alpha1::PromotionStatus>(before);
  status->set_observed_generation(promotion_generation);
  status->set_outcome(outcome);
  status->set_completed_at(base::FormatRfc3339(now));
  status->clear_next_evaluation_at();
  status->clear_blocked_by();
  SetSucceeded(*status, outcome == "Promoted" ? types::kTrue : types::kFalse, outcome, message,
               promotion_generation, now);
  return status;
}

}  // namespace sluice::promotion
