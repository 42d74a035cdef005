#include "reconcilers/gates/objects/look.h"

#include <algorithm>

#include "api/v1alpha1/stage_plan.pb.h"
#include "controller/base/time_format.h"
#include "reconcilers/gates/limits.h"
#include "reconcilers/gates/objects/convert.h"
#include "reconcilers/gates/objects/limits.h"

namespace sluice::gates {
namespace {

using base::Duration;
using base::WallTime;

Evidence Misconfigured(const std::string& gate, std::string why, WallTime now) {
  Evidence evidence;
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

WallTime WholeMicros(WallTime time) { return std::chrono::floor<std::chrono::microseconds>(time); }

// What people say has no numbers that move by themselves: another message is news.
bool IsOfPeople(Cause cause) {
  return cause == Cause::kReadinessMissing || cause == Cause::kAwaitingApproval ||
         cause == Cause::kApprovalOutdated || cause == Cause::kRefused ||
         cause == Cause::kIncidentOpen || cause == Cause::kFrozen;
}

// Waits double with the time the provider has been failing, which is how long it was waited for.
Duration AfterProviderError(const GateResult& result, WallTime now) {
  return std::clamp<Duration>(now - result.since, kProviderBackoffFirst, kProviderBackoffLast);
}

// A soak and a freeze say themselves when they are over.
std::optional<Duration> UntilOver(const GateResult& result, WallTime now) {
  constexpr std::string_view kTime = "time: ";
  if (result.unblocked_by.compare(0, kTime.size(), kTime) != 0) return std::nullopt;
  const auto end = base::ParseRfc3339(result.unblocked_by.substr(kTime.size()));
  if (!end.ok()) return std::nullopt;
  return Duration(*end - now);
}

}  // namespace

ReadGates GatesFrom(const GateMessages& messages, WallTime now) {
  ReadGates out;
  for (const v1alpha1::Gate& message : messages) {
    auto gate = GateFrom(message);
    if (gate.ok()) {
      out.gates.push_back(*std::move(gate));
      continue;
    }
    Gate unreadable;
    unreadable.name = message.name();
    out.gates.push_back(unreadable);
    out.unreadable.push_back(Misconfigured(message.name(), gate.status().message(), now));
  }
  if (out.gates.empty()) {
    Gate none;
    none.name = "gates";
    out.gates.push_back(none);
    out.unreadable.push_back(Misconfigured(
        "gates", "the stage has no entry gates: nothing could be evidence for it", now));
  }
  return out;
}

std::vector<std::string> ChangedGates(const std::vector<GateResult>& recorded,
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

bool WorthWriting(const std::vector<GateResult>& recorded, const std::vector<GateResult>& fresh,
                  WallTime now) {
  if (recorded.size() != fresh.size()) return true;
  for (const GateResult& result : fresh) {
    const GateResult* before = Find(recorded, result.gate);
    if (before == nullptr || before->verdict != result.verdict || !SameCauses(*before, result) ||
        before->threshold != ShortDecimal(result.threshold)) {
      return true;
    }
    if (IsOfPeople(result.cause()) && before->message() != result.message()) return true;
    const auto validity = before->valid_until - before->evaluated_at;
    const auto age = now - before->evaluated_at;
    if (result.verdict == Verdict::kPass ? age * 2 >= validity : age >= validity) return true;
  }
  return false;
}

Duration WhenToLookAgain(const StageResult& result, Duration scrape_interval, WallTime now) {
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

GatesLook LookAtGates(const ReadGates& stage, const std::vector<Evidence>& evidence,
                      const std::vector<GateResult>& recorded,
                      const std::vector<GateResult>& inherited, const Context& context,
                      WallTime time) {
  GatesLook look;
  look.now = WholeMicros(time);
  std::vector<GateResult> previous = recorded;
  for (const GateResult& before : inherited) {
    if (Find(previous, before.gate) == nullptr) previous.push_back(before);
  }
  look.evidence = stage.unreadable;
  for (const Evidence& e : evidence) {
    const bool unreadable = std::any_of(stage.unreadable.begin(), stage.unreadable.end(),
                                        [&](const auto& u) { return u.gate == e.gate; });
    if (!unreadable) look.evidence.push_back(e);
  }
  for (Evidence& e : look.evidence) e.observed_at = WholeMicros(e.observed_at);
  look.result = Evaluate(stage.gates, look.evidence, previous, context, look.now);
  for (const std::string& name : ChangedGates(recorded, look.result.gates)) {
    look.changed.push_back(
        RecordOf(name, stage.gates, look.evidence, previous, context, look.now, look.result));
  }
  return look;
}

}  // namespace sluice::gates
