// The rules of readiness, approval, drill, capacity, incident and external gates, and the limit of
// a gpuIdle gate.
#include <fmt/format.h>

#include <algorithm>

#include "controller/base/time_format.h"
#include "reconcilers/gates/judge.h"
#include "reconcilers/gates/limits.h"
#include "reconcilers/gates/readiness.h"
#include "reconcilers/gates/tally.h"

namespace sluice::gates {
namespace {

using base::FormatRfc3339;
using base::WallTime;

const ReadinessItem* Find(const ReadinessFacts& facts, const std::string& name) {
  const auto found = std::find_if(facts.items.begin(), facts.items.end(),
                                  [&](const ReadinessItem& item) { return item.name == name; });
  return found == facts.items.end() ? nullptr : &*found;
}

void JudgeItems(const std::vector<std::string>& names, const Evidence& evidence,
                std::optional<base::Duration> max_age, WallTime now, Judgement& out) {
  if (!evidence.readiness) {
    return out.Add(Cause::kMisconfigured, "the evidence is not about a readiness review");
  }
  std::string missing;
  std::vector<std::string> owners;
  std::size_t fresh = 0;
  for (const std::string& name : names) {
    const ItemState state = StateOf(*evidence.readiness, name, max_age, now);
    if (state.why_missing.empty()) {
      ++fresh;
      out.holds_until = std::min(out.holds_until.value_or(state.fresh_until), state.fresh_until);
      continue;
    }
    missing += fmt::format("{}{} ({})", missing.empty() ? "" : ", ", name, state.why_missing);
    if (!state.owner.empty() &&
        std::find(owners.begin(), owners.end(), state.owner) == owners.end()) {
      owners.push_back(state.owner);
    }
  }
  out.value = std::to_string(fresh);
  out.threshold = std::to_string(names.size());
  out.met = fmt::format("{} of {} items verified", fresh, names.size());
  if (missing.empty()) return;
  out.holds_until.reset();
  out.Add(Cause::kReadinessMissing,
          fmt::format("{} of {} missing: {}", names.size() - fresh, names.size(), missing));
  for (const std::string& owner : owners) {
    out.unblocked_by += (out.unblocked_by.empty() ? "owners: " : ", ") + owner;
  }
  if (owners.empty())
    out.unblocked_by = "whoever writes ReadinessReview " + evidence.readiness->review;
}

}  // namespace

ItemState StateOf(const ReadinessFacts& facts, const std::string& name,
                  std::optional<base::Duration> max_age, WallTime now) {
  const ReadinessItem* item = Find(facts, name);
  if (item == nullptr) {
    return {facts.found ? "not in review " + facts.review : "there is no review " + facts.review,
            "", now};
  }
  if (item->verified_by.empty() || !item->verified_at) return {"not verified", item->owner, now};
  if (*item->verified_at > now + std::chrono::duration_cast<WallTime::duration>(kClockSkew)) {
    return {"verified at a time to come", item->owner, now};
  }
  const base::Duration valid = max_age ? std::min(item->valid_for, *max_age) : item->valid_for;
  const WallTime until = *item->verified_at + std::chrono::duration_cast<WallTime::duration>(valid);
  if (now >= until) return {"stale since " + FormatRfc3339(until), item->owner, until};
  return {"", item->owner, until};
}

void JudgeReadiness(const Gate& gate, const Evidence& evidence, WallTime now, Judgement& out) {
  JudgeItems(gate.items, evidence, std::nullopt, now, out);
}

void JudgeDrill(const Gate& gate, const Evidence& evidence, WallTime now, Judgement& out) {
  JudgeItems(gate.items, evidence, gate.max_age, now, out);
  if (!out.causes.empty() || !evidence.readiness) return;
  const ReadinessItem* drill = Find(*evidence.readiness, gate.items.front());
  out.met =
      fmt::format("{} done {} ago (at most {})", drill->name,
                  base::HumanDuration(std::max<base::Duration>(now - *drill->verified_at, {})),
                  base::HumanDuration(gate.max_age));
}

void JudgeApproval(const Gate& gate, const Evidence& evidence, WallTime now, Judgement& out) {
  if (!evidence.ballot) {
    return out.Add(Cause::kMisconfigured, "the evidence is not about a decision");
  }
  if (gate.roles.empty()) return out.Add(Cause::kMisconfigured, "nobody is named who may decide");
  const Tally tally = Count(*evidence.ballot, gate.roles, gate.service_accounts, now);
  out.value = std::to_string(tally.agreed);
  out.threshold = std::to_string(tally.needed);
  switch (tally.outcome) {
    case Outcome::kApproved:
      out.met = tally.message;
      out.holds_until = tally.holds_until;
      return;
    case Outcome::kRefused:
      out.Add(Cause::kRefused, tally.message);
      out.unblocked_by = "those who refused, by another vote: " +
                         tally.message.substr(std::string("refused by ").size());
      return;
    case Outcome::kOutdated:
      out.Add(Cause::kApprovalOutdated, tally.message);
      break;
    case Outcome::kNone:
    case Outcome::kExpired:
    case Outcome::kPending:
      out.Add(Cause::kAwaitingApproval, tally.message);
      break;
  }
  for (const std::string& voice : tally.missing) {
    out.unblocked_by += (out.unblocked_by.empty() ? "approvers: " : "; ") + voice;
  }
}

void JudgeCapacity(const Gate& gate, const Evidence& evidence, Judgement& out) {
  out.threshold = std::to_string(gate.min_ready_agents);
  if (!evidence.capacity) {
    return out.Add(Cause::kMisconfigured, "the evidence is not about the site's room");
  }
  out.value = std::to_string(evidence.capacity->ready_agents);
  out.met = fmt::format("{} agents ready (needs {})", evidence.capacity->ready_agents,
                        gate.min_ready_agents);
  if (evidence.capacity->ready_agents < gate.min_ready_agents) {
    out.Add(Cause::kWaitingForCapacity, out.met);
  }
}

void JudgeIncident(const Gate& gate, const Evidence& evidence, Judgement& out) {
  out.threshold = "0";
  if (!evidence.incidents || gate.holds_from_severity <= 0) {
    return out.Add(Cause::kMisconfigured, "the evidence is not about incidents");
  }
  int count = 0;
  std::string open;
  for (const IncidentFacts& incident : evidence.incidents->open) {
    if (incident.severity > gate.holds_from_severity) continue;
    ++count;
    open += fmt::format("{}{} (severity {}, since {})", open.empty() ? "" : ", ", incident.name,
                        incident.severity, FormatRfc3339(incident.opened_at));
    out.unblocked_by += fmt::format("{}{}: close {}", out.unblocked_by.empty() ? "" : "; ",
                                    incident.owner, incident.name);
  }
  out.value = std::to_string(count);
  out.met = fmt::format("no open incident of severity {} or worse", gate.holds_from_severity);
  if (count > 0) out.Add(Cause::kIncidentOpen, open);
}

void JudgeExternal(const Evidence& evidence, Judgement& out) {
  if (!evidence.external) {
    return out.Add(Cause::kMisconfigured, "the evidence is not another system's answer");
  }
  const ExternalFacts& answer = *evidence.external;
  if (!answer.error.empty()) return out.Add(Cause::kProviderError, answer.error);
  const std::string said = answer.reason.empty() ? answer.verdict : answer.reason;
  if (answer.verdict == "pass") {
    out.met = said;
  } else if (answer.verdict == "hold" || answer.verdict == "fail") {
    out.failed = answer.verdict == "fail";
    out.Add(Cause::kGateFailed, said);
    out.unblocked_by = "whoever runs " + answer.url;
  } else {
    out.Add(Cause::kProviderError, "the verdict is none of pass, hold and fail");
  }
}

std::optional<Decimal> IdleLimit(const Gate& gate, const Evidence& evidence, WallTime now,
                                 Judgement& out) {
  JudgeItems(gate.items, evidence, std::nullopt, now, out);
  out.value.clear();
  out.threshold.clear();
  if (!out.causes.empty()) return std::nullopt;
  const ReadinessItem* item = Find(*evidence.readiness, gate.items.front());
  const auto baseline = Decimal::Parse(item->value);
  if (!baseline.ok() || baseline->IsNegative() || *baseline > Decimal::FromInt(1)) {
    out.Add(Cause::kMisconfigured,
            fmt::format("item {} has no value from 0 to 1 to compare with", item->name));
    return std::nullopt;
  }
  return *baseline * (Decimal::FromInt(1) - gate.min_reduction);
}

}  // namespace sluice::gates
