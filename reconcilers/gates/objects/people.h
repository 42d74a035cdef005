// Objects of governance as the evaluator's values: reviews, decisions with their votes, incidents,
// freeze windows, exemptions. Pure; any thread. What cannot be read never helps: a review is
// absent, a decision or vote is not counted, an incident stays open, a freeze window holds, an
// exemption is not active.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "controller/base/clock.h"
#include "controller/base/status.h"
#include "controller/meta/object.h"
#include "reconcilers/gates/evaluate.h"
#include "reconcilers/gates/recurrence.h"
#include "reconcilers/gates/tally.h"

namespace google::protobuf {
template <typename T>
class RepeatedPtrField;
}  // namespace google::protobuf

namespace sluice::v1alpha1 {
class FreezeWindowSpec;
class RoleRule;
class SiteSelector;
}  // namespace sluice::v1alpha1

namespace sluice::gates {

// The objects there are, in any order; none of a kind is the ordinary case.
struct PeopleObjects {
  std::vector<meta::ObjectPtr> reviews, decisions, approvals, exemptions, freezes, incidents;
};

using RoleRules = google::protobuf::RepeatedPtrField<v1alpha1::RoleRule>;
std::vector<RoleRule> RulesFrom(const RoleRules& rules);

// "phoenix-walk".
std::string ReviewName(const std::string& site, const std::string& stage);
ReadinessFacts ReadinessOf(const PeopleObjects& objects, const std::string& site,
                           const std::string& stage);

// What was decided and voted about the object of that kind and `subject.uid`. The newest count when
// there are more than kMaxDecisions or kMaxVotes.
Ballot BallotOf(const PeopleObjects& objects, const std::string& kind, Subject subject,
                std::vector<std::string> requested_by);

// The site's incidents that are not closed, the worst first.
IncidentList IncidentsOf(const PeopleObjects& objects, const std::string& site);

bool Selects(const v1alpha1::SiteSelector& selector, const meta::Object& site);

base::StatusOr<Schedule> ScheduleFrom(const v1alpha1::FreezeWindowSpec& spec);
// The windows that hold the site now, and those that cannot be read. A window that allows `release`
// does not hold a Rollout of it; left out, the change is no Rollout.
std::vector<Freeze> FreezesOf(const PeopleObjects& objects, const meta::Object& site,
                              base::WallTime now, const std::string& release = {});

// Whether an Exemption counts, and why not. `rules` are the plan's waiver roles.
struct ExemptionState {
  bool active = false;
  std::string reason;   // one CamelCase word
  std::string message;  // for people
  Exemption exemption;  // when active
};
ExemptionState StateOf(const meta::Object& exemption, const PeopleObjects& objects,
                       const std::vector<RoleRule>& rules, base::WallTime now);
std::vector<Exemption> ExemptionsOf(const PeopleObjects& objects, const meta::Object& site,
                                    const std::vector<RoleRule>& rules, base::WallTime now);

// What applies to a step of `site` beside its gates: freezes, exemptions, the class of the change.
// `ballot` is the one about the step; `release` as FreezesOf.
Context ContextOf(const PeopleObjects& objects, const meta::Object& site,
                  const std::vector<RoleRule>& waiver_rules, const Ballot& ballot,
                  base::WallTime now, const std::string& release = {});

}  // namespace sluice::gates
