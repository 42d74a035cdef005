#include <fmt/format.h>

#include "api/v1alpha1/approval.pb.h"
#include "api/v1alpha1/decision.pb.h"
#include "api/v1alpha1/governance.pb.h"
#include "reconcilers/common/decode.h"
#include "reconcilers/gates/evidence.h"
#include "reconcilers/governance/answer.h"
#include "reconcilers/governance/limits.h"
#include "reconcilers/governance/standing.h"

namespace sluice::governance {
namespace {

const char* OutcomeName(const Standing& standing, const std::string& before, bool expired) {
  if (expired) return "Expired";
  // What was decided about a step that was taken stays decided, and is so if it could not be
  // written before the step was.
  if (standing.outdated && before == "Approved") return "Approved";
  if (standing.outdated && before == "Refused") return "Refused";
  if (standing.outdated && !standing.taken) return "Outdated";
  switch (standing.tally.outcome) {
    case gates::Outcome::kApproved:
      return "Approved";
    case gates::Outcome::kRefused:
      return "Refused";
    case gates::Outcome::kOutdated:
      return "Outdated";
    case gates::Outcome::kExpired:
      return "Expired";
    case gates::Outcome::kNone:
    case gates::Outcome::kPending:
      break;
  }
  return standing.taken ? "Outdated" : "Pending";
}

}  // namespace

base::StatusOr<Answer> DecisionStatus(const meta::Object& object, const World& world,
                                      WallTime now) {
  SLUICE_ASSIGN_OR_RETURN(const auto decision, common::Decode<v1alpha1::Decision>(object));
  SLUICE_ASSIGN_OR_RETURN(const Standing standing, StandingOf(object, world, now));
  const auto expires = Parsed(decision->spec().expires_at());
  const bool expired = !expires || now >= *expires;
  v1alpha1::DecisionStatus status;
  *status.mutable_conditions() = decision->status().conditions();
  status.set_observed_generation(object.generation());
  const std::string& before = decision->status().outcome();
  status.set_outcome(OutcomeName(standing, before, expired));
  // Told late: what was counted then.
  const bool told_late =
      standing.taken && status.outcome() != "Outdated" && status.outcome() != before;
  if (expired || (standing.outdated && !told_late)) {
    *status.mutable_votes() = decision->status().votes();
  } else {
    for (const gates::CountedVote& vote : standing.tally.votes) {
      if (status.votes_size() == static_cast<int>(kMaxListed)) break;
      v1alpha1::Vote& out = *status.add_votes();
      out.set_approval(vote.approval);
      out.set_user(vote.user);
      out.set_role(vote.role);
      out.set_verdict(vote.agrees ? "Agree" : "Disagree");
      out.set_counted(vote.why_not.empty() ? "Counted"
                                           : gates::Bounded(vote.why_not, kMaxWhyBytes));
    }
    for (const std::string& voice : standing.tally.missing) {
      if (status.missing_size() == static_cast<int>(kMaxVoices)) break;
      *status.add_missing() = gates::Bounded(voice, kMaxEntryBytes);
    }
  }
  const std::string& outcome = status.outcome();
  std::string message = standing.tally.message;
  if (outcome == "Expired") message = "expired at " + decision->spec().expires_at();
  if (standing.outdated && !expired) {
    message = "no open step has this subject; it was decided before, or its subject changed";
  }
  Condition(status, "Decided",
            outcome == "Approved"  ? types::kTrue
            : outcome == "Pending" ? types::kUnknown
                                   : types::kFalse,
            outcome, message, object.generation(), now);
  std::optional<WallTime> next;
  if (!expired) next = standing.taken ? expires : Earlier(expires, standing.tally.holds_until);
  return Finish(status, next && *next > now ? next : std::nullopt, outcome == "Approved",
                static_cast<std::size_t>(status.missing_size()));
}

base::StatusOr<Answer> ApprovalStatus(const meta::Object& object, const World& world,
                                      WallTime now) {
  SLUICE_ASSIGN_OR_RETURN(const auto approval, common::Decode<v1alpha1::Approval>(object));
  v1alpha1::ApprovalStatus status;
  *status.mutable_conditions() = approval->status().conditions();
  status.set_observed_generation(object.generation());
  const meta::ObjectPtr decision =
      Named(world.people.decisions, approval->spec().decision_ref().name());
  std::string why_not = "there is no Decision " + approval->spec().decision_ref().name();
  if (decision != nullptr && decision->uid() != approval->spec().decision_ref().uid()) {
    why_not = fmt::format("Decision {} has another UID: it was made anew", decision->name());
  } else if (decision != nullptr) {
    SLUICE_ASSIGN_OR_RETURN(const Standing standing, StandingOf(*decision, world, now));
    why_not = standing.outdated ? "its Decision's subject changed, or the step was taken"
                                : "not among the votes";
    for (const gates::CountedVote& vote : standing.tally.votes) {
      if (vote.approval == object.name() && !standing.taken) why_not = vote.why_not;
    }
  }
  const auto expires = Parsed(approval->spec().expires_at());
  const bool expired = !expires || now >= *expires;
  if (expired) why_not = "expired at " + approval->spec().expires_at();
  Condition(status, "Counted", Truth(why_not.empty()),
            why_not.empty() ? "Counted"
            : expired       ? "Expired"
                            : "NotCounted",
            why_not.empty() ? "the vote counts" : why_not, object.generation(), now);
  return Finish(status, expired ? std::nullopt : expires, why_not.empty(), 0);
}

}  // namespace sluice::governance
