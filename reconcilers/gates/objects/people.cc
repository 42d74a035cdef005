#include "reconcilers/gates/objects/people.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "api/v1alpha1/approval.pb.h"
#include "api/v1alpha1/decision.pb.h"
#include "api/v1alpha1/exemption.pb.h"
#include "api/v1alpha1/freeze_window.pb.h"
#include "api/v1alpha1/governance.pb.h"
#include "api/v1alpha1/incident.pb.h"
#include "api/v1alpha1/readiness_review.pb.h"
#include "controller/base/time_format.h"
#include "reconcilers/common/decode.h"
#include "reconcilers/gates/limits.h"

namespace sluice::gates {
namespace {

using base::WallTime;

std::string At(const meta::Object& object, const char* pointer) {
  return object.ToJson().value(nlohmann::json::json_pointer(pointer), std::string());
}

// The epoch when it is not there: older than everything.
WallTime CreatedAt(const meta::Object& object) {
  const auto time = base::ParseRfc3339(At(object, "/metadata/creationTimestamp"));
  return time.ok() ? *time : WallTime();
}

std::vector<std::string> Strings(const google::protobuf::RepeatedPtrField<std::string>& list) {
  return {list.begin(), list.end()};
}

std::string Lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return text;
}

base::StatusOr<DecisionFacts> DecisionFrom(const meta::Object& object) {
  SLUICE_ASSIGN_OR_RETURN(const auto message, common::Decode<v1alpha1::Decision>(object));
  const v1alpha1::DecisionSpec& spec = message->spec();
  DecisionFacts out;
  out.name = object.name();
  out.uid = object.uid();
  out.subject = {spec.subject().uid(), spec.subject().generation(), spec.subject().plan_hash(),
                 spec.subject().stage()};
  out.requested_by = spec.requested_by();
  out.roles = RulesFrom(spec.roles());
  out.change_class = spec.change_class().empty() ? "Ordinary" : spec.change_class();
  SLUICE_ASSIGN_OR_RETURN(out.expires_at, base::ParseRfc3339(spec.expires_at()));
  return out;
}

base::StatusOr<VoteFacts> VoteFrom(const meta::Object& object) {
  SLUICE_ASSIGN_OR_RETURN(const auto message, common::Decode<v1alpha1::Approval>(object));
  const v1alpha1::ApprovalSpec& spec = message->spec();
  VoteFacts out;
  out.approval = object.name();
  out.decision_uid = spec.decision_ref().uid();
  out.subject_uid = spec.subject().uid();
  out.generation = spec.subject().generation();
  out.plan_hash = spec.subject().plan_hash();
  out.user = spec.approver().user();
  out.groups = Strings(spec.approver().groups());
  out.role = spec.role();
  out.agrees = spec.verdict() == "Agree";
  out.cast_at = CreatedAt(object);
  SLUICE_ASSIGN_OR_RETURN(out.expires_at, base::ParseRfc3339(spec.expires_at()));
  return out;
}

int SeverityOf(const std::string& name) {
  return name.size() == 9 && name.rfind("Severity", 0) == 0 ? name.back() - '0' : 1;
}

// The newest first, so that a bound drops the oldest.
std::vector<meta::ObjectPtr> NewestFirst(std::vector<meta::ObjectPtr> objects) {
  std::vector<std::pair<WallTime, meta::ObjectPtr>> dated;
  for (meta::ObjectPtr& object : objects) dated.emplace_back(CreatedAt(*object), std::move(object));
  std::stable_sort(dated.begin(), dated.end(),
                   [](const auto& a, const auto& b) { return a.first > b.first; });
  objects.clear();
  for (auto& [time, object] : dated) objects.push_back(std::move(object));
  return objects;
}

}  // namespace

std::vector<RoleRule> RulesFrom(const RoleRules& rules) {
  std::vector<RoleRule> out;
  for (const v1alpha1::RoleRule& rule : rules) {
    out.push_back({rule.role(), Strings(rule.users()), Strings(rule.groups()),
                   std::max(1, static_cast<int>(rule.quorum()))});
  }
  return out;
}

std::string ReviewName(const std::string& site, const std::string& stage) {
  return site + "-" + Lower(stage);
}

ReadinessFacts ReadinessOf(const PeopleObjects& objects, const std::string& site,
                           const std::string& stage) {
  ReadinessFacts out{.review = ReviewName(site, stage), .found = false, .items = {}};
  for (const meta::ObjectPtr& object : objects.reviews) {
    if (object->name() != out.review) continue;
    const auto message = common::Decode<v1alpha1::ReadinessReview>(*object);
    if (!message.ok()) return out;
    out.found = true;
    for (const v1alpha1::ReadinessItem& from : (*message)->spec().items()) {
      ReadinessItem item;
      item.name = from.name();
      item.owner = from.owner();
      item.verified_by = from.verified_by();
      if (const auto at = base::ParseRfc3339(from.verified_at()); at.ok()) item.verified_at = *at;
      // Left out by an object older than the default: nothing is fresh for ever.
      if (const auto span = base::ParseDuration(from.valid_for()); span.ok()) {
        item.valid_for = *span;
      }
      item.value = from.value();
      out.items.push_back(std::move(item));
    }
  }
  return out;
}

Ballot BallotOf(const PeopleObjects& objects, const std::string& kind, Subject subject,
                std::vector<std::string> requested_by) {
  Ballot out;
  out.subject = std::move(subject);
  out.requested_by = std::move(requested_by);
  std::vector<meta::ObjectPtr> about;
  for (const meta::ObjectPtr& object : objects.decisions) {
    if (At(*object, "/spec/subject/uid") == out.subject.uid &&
        At(*object, "/spec/subject/kind") == kind) {
      about.push_back(object);
    }
  }
  for (const meta::ObjectPtr& object : NewestFirst(std::move(about))) {
    if (out.decisions.size() == kMaxDecisions) break;
    if (auto decision = DecisionFrom(*object); decision.ok()) {
      out.decisions.push_back(*std::move(decision));
    }
  }
  std::vector<meta::ObjectPtr> votes;
  for (const meta::ObjectPtr& object : objects.approvals) {
    const std::string decision = At(*object, "/spec/decisionRef/uid");
    const bool ours = std::any_of(out.decisions.begin(), out.decisions.end(),
                                  [&](const DecisionFacts& d) { return d.uid == decision; });
    if (ours) votes.push_back(object);
  }
  for (const meta::ObjectPtr& object : NewestFirst(std::move(votes))) {
    if (out.votes.size() == kMaxVotes) break;
    if (auto vote = VoteFrom(*object); vote.ok()) out.votes.push_back(*std::move(vote));
  }
  return out;
}

IncidentList IncidentsOf(const PeopleObjects& objects, const std::string& site) {
  IncidentList out;
  for (const meta::ObjectPtr& object : objects.incidents) {
    const auto message = common::Decode<v1alpha1::Incident>(*object);
    if (!message.ok()) {
      out.open.push_back({std::string(object->name()), 1, "whoever opened it", CreatedAt(*object)});
      continue;
    }
    const v1alpha1::IncidentSpec& spec = (*message)->spec();
    if (spec.state() == "Closed" ||
        std::find(spec.sites().begin(), spec.sites().end(), site) == spec.sites().end()) {
      continue;
    }
    out.open.push_back({std::string(object->name()), SeverityOf(spec.severity()), spec.owner(),
                        CreatedAt(*object)});
  }
  std::sort(out.open.begin(), out.open.end(), [](const IncidentFacts& a, const IncidentFacts& b) {
    return a.severity != b.severity ? a.severity < b.severity : a.name < b.name;
  });
  if (out.open.size() > kMaxIncidents) out.open.resize(kMaxIncidents);
  return out;
}

bool Selects(const v1alpha1::SiteSelector& selector, const meta::Object& site) {
  const auto& names = selector.names();
  if (!names.empty() && std::find(names.begin(), names.end(), site.name()) == names.end()) {
    return false;
  }
  return std::all_of(selector.match_labels().begin(), selector.match_labels().end(),
                     [&](const auto& label) { return site.Label(label.first) == label.second; });
}

base::StatusOr<Schedule> ScheduleFrom(const v1alpha1::FreezeWindowSpec& spec) {
  if (spec.has_once()) {
    SLUICE_ASSIGN_OR_RETURN(const WallTime from, base::ParseRfc3339(spec.once().from()));
    SLUICE_ASSIGN_OR_RETURN(const WallTime to, base::ParseRfc3339(spec.once().to()));
    return Schedule::Once(from, to);
  }
  if (!spec.has_recurring()) return base::InvalidArgument("neither once nor recurring");
  const v1alpha1::FreezeRecurring& recurring = spec.recurring();
  SLUICE_ASSIGN_OR_RETURN(const base::Duration duration, base::ParseDuration(recurring.duration()));
  return Schedule::Recurring(recurring.rrule(), recurring.start(), duration,
                             recurring.time_zone().empty() ? "UTC" : recurring.time_zone());
}

std::vector<Freeze> FreezesOf(const PeopleObjects& objects, const meta::Object& site, WallTime now,
                              const std::string& release) {
  std::vector<Freeze> out;
  for (const meta::ObjectPtr& object : objects.freezes) {
    if (out.size() == kMaxFreezes) break;
    Freeze freeze;
    freeze.name = object->name();
    const auto message = common::Decode<v1alpha1::FreezeWindow>(*object);
    if (!message.ok()) {
      freeze.problem = message.status().message();
      out.push_back(std::move(freeze));
      continue;
    }
    const v1alpha1::FreezeWindowSpec& spec = (*message)->spec();
    if (!Selects(spec.sites(), site)) continue;
    const auto& allowed = spec.allow_releases();
    if (!release.empty() && std::find(allowed.begin(), allowed.end(), release) != allowed.end()) {
      continue;
    }
    freeze.reason = spec.reason();
    for (const std::string& exception : spec.exceptions()) {
      freeze.exceptions.push_back(exception == "P0" ? ChangeClass::kP0 : ChangeClass::kSecurity);
    }
    const auto schedule = ScheduleFrom(spec);
    if (!schedule.ok()) {
      freeze.problem = schedule.status().message();
      out.push_back(std::move(freeze));
      continue;
    }
    const Schedule::State state = schedule->At(now);
    if (!state.closed) continue;
    freeze.reopens_at = state.reopens_at;
    out.push_back(std::move(freeze));
  }
  return out;
}

ExemptionState StateOf(const meta::Object& object, const PeopleObjects& objects,
                       const std::vector<RoleRule>& rules, WallTime now) {
  ExemptionState out;
  const auto message = common::Decode<v1alpha1::Exemption>(object);
  if (!message.ok()) return {false, "Misconfigured", message.status().message(), {}};
  const v1alpha1::ExemptionSpec& spec = (*message)->spec();
  const auto expires = base::ParseRfc3339(spec.expires_at());
  if (!expires.ok()) return {false, "Misconfigured", expires.status().message(), {}};
  out.exemption.name = object.name();
  out.exemption.gates = Strings(spec.gates());
  out.exemption.freezes = Strings(spec.freezes());
  out.exemption.expires_at =
      std::min(*expires, CreatedAt(object) +
                             std::chrono::duration_cast<WallTime::duration>(kLongestExemption));
  if (!IsActive(out.exemption, now)) {
    out.reason = "Expired";
    out.message = "ended at " + base::FormatRfc3339(out.exemption.expires_at);
    return out;
  }
  const Ballot ballot =
      BallotOf(objects, "Exemption", {std::string(object.uid()), object.generation(), "", ""},
               {spec.requested_by()});
  const bool named =
      std::any_of(ballot.decisions.begin(), ballot.decisions.end(),
                  [&](const DecisionFacts& d) { return d.name == spec.decision_ref().name(); });
  if (!named) {
    out.reason = "AwaitingApproval";
    out.message =
        fmt::format("there is no Decision {} about this Exemption (uid {}, generation {})",
                    spec.decision_ref().name(), object.uid(), object.generation());
    return out;
  }
  if (rules.empty()) {
    out.reason = "AwaitingApproval";
    out.message = "the plan's waiverRoles name nobody who may decide it";
    return out;
  }
  const Tally tally = Count(ballot, rules, false, now);
  out.message = tally.message;
  out.reason = tally.outcome == Outcome::kRefused ? "Refused" : "AwaitingApproval";
  if (tally.outcome != Outcome::kApproved) return out;
  out.reason = "Approved";
  if (tally.holds_until) {
    out.exemption.expires_at = std::min(out.exemption.expires_at, *tally.holds_until);
  }
  for (const meta::ObjectPtr& decision : objects.decisions) {
    if (decision->name() != spec.decision_ref().name()) continue;
    const auto decoded = common::Decode<v1alpha1::Decision>(*decision);
    if (!decoded.ok()) continue;
    for (const std::string& name : (*decoded)->spec().also_causes()) {
      if (const auto cause = CauseFromName(name)) out.exemption.also.push_back(*cause);
    }
  }
  out.active = IsActive(out.exemption, now);
  return out;
}

std::vector<Exemption> ExemptionsOf(const PeopleObjects& objects, const meta::Object& site,
                                    const std::vector<RoleRule>& rules, WallTime now) {
  std::vector<Exemption> out;
  for (const meta::ObjectPtr& object : objects.exemptions) {
    if (out.size() == kMaxExemptions) break;
    const auto message = common::Decode<v1alpha1::Exemption>(*object);
    if (!message.ok() || !Selects((*message)->spec().sites(), site)) continue;
    ExemptionState state = StateOf(*object, objects, rules, now);
    if (state.active) out.push_back(std::move(state.exemption));
  }
  return out;
}

Context ContextOf(const PeopleObjects& objects, const meta::Object& site,
                  const std::vector<RoleRule>& waiver_rules, const Ballot& ballot, WallTime now,
                  const std::string& release) {
  Context context;
  context.freezes = FreezesOf(objects, site, now, release);
  context.exemptions = ExemptionsOf(objects, site, waiver_rules, now);
  const std::string name = ClassOf(ballot, waiver_rules, now);
  context.change_class = name == "P0"         ? ChangeClass::kP0
                         : name == "Security" ? ChangeClass::kSecurity
                                              : ChangeClass::kOrdinary;
  return context;
}

}  // namespace sluice::gates
