#include "reconcilers/gates/tally.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "controller/base/time_format.h"

namespace sluice::gates {
namespace {

using base::WallTime;

bool Contains(const std::vector<std::string>& list, const std::string& item) {
  return std::find(list.begin(), list.end(), item) != list.end();
}

bool IsServiceAccount(const std::string& user) {
  return user.rfind("system:serviceaccount:", 0) == 0;
}

bool Speaks(const VoteFacts& vote, const RoleRule& rule) {
  if (vote.role != rule.role) return false;
  return Contains(rule.users, vote.user) ||
         std::any_of(vote.groups.begin(), vote.groups.end(),
                     [&](const std::string& group) { return Contains(rule.groups, group); });
}

std::string Whose(const RoleRule& rule) {
  std::string out;
  for (const std::string& user : rule.users) out += (out.empty() ? "" : ", ") + user;
  for (const std::string& group : rule.groups) {
    out += (out.empty() ? "group " : ", group ") + group;
  }
  return out;
}

bool CanRefuse(const std::string& role) { return role == "Agree" || role == "Decide"; }

struct Voting {
  const Ballot& ballot;
  std::vector<const DecisionFacts*> current;
  std::vector<RoleRule> rules;
  std::set<std::string> askers;
  bool service_accounts;
  WallTime now;

  // Why a vote does not count; empty: it does.
  std::string WhyNot(const VoteFacts& vote) const {
    const bool of_current =
        std::any_of(current.begin(), current.end(),
                    [&](const DecisionFacts* d) { return d->uid == vote.decision_uid; });
    if (!of_current) return "its Decision is about another generation or plan, or has expired";
    if (vote.subject_uid != ballot.subject.uid || vote.generation != ballot.subject.generation ||
        vote.plan_hash != ballot.subject.plan_hash) {
      return "it saw another generation or plan than the Decision's";
    }
    if (now >= vote.expires_at) return "expired at " + base::FormatRfc3339(vote.expires_at);
    if (askers.count(vote.user) != 0) return "whoever asks cannot answer";
    if (IsServiceAccount(vote.user) && !service_accounts) {
      return "the plan lets no service account vote";
    }
    if (std::none_of(rules.begin(), rules.end(),
                     [&](const RoleRule& rule) { return Speaks(vote, rule); })) {
      return fmt::format("{} does not speak in the role {}", vote.user, vote.role);
    }
    return "";
  }
};

bool Later(const VoteFacts& a, const VoteFacts& b) {
  if (a.cast_at != b.cast_at) return a.cast_at > b.cast_at;
  if (a.agrees != b.agrees) return !a.agrees;
  return a.approval > b.approval;
}

// The last vote of each user in each role, among those that count.
std::vector<const VoteFacts*> LastVotes(const Voting& voting, Tally& out) {
  std::vector<const VoteFacts*> sorted;
  for (const VoteFacts& vote : voting.ballot.votes) sorted.push_back(&vote);
  std::sort(sorted.begin(), sorted.end(),
            [](const VoteFacts* a, const VoteFacts* b) { return Later(*a, *b); });
  std::set<std::pair<std::string, std::string>> seen;
  std::vector<const VoteFacts*> last;
  for (const VoteFacts* vote : sorted) {
    std::string why_not = voting.WhyNot(*vote);
    if (why_not.empty() && !seen.insert({vote->user, vote->role}).second) {
      why_not = "the same user voted again later";
    }
    if (why_not.empty()) last.push_back(vote);
    out.votes.push_back({vote->approval, vote->user, vote->role, vote->agrees, why_not});
  }
  return last;
}

void Weigh(const Voting& voting, const std::vector<const VoteFacts*>& votes, Tally& out) {
  std::string refused, approved;
  for (const VoteFacts* vote : votes) {
    if (!vote->agrees && CanRefuse(vote->role)) {
      refused += fmt::format("{}{} ({})", refused.empty() ? "" : ", ", vote->user, vote->role);
    }
  }
  for (const DecisionFacts* decision : voting.current) {
    out.holds_until =
        std::min(out.holds_until.value_or(decision->expires_at), decision->expires_at);
  }
  for (const RoleRule& rule : voting.rules) {
    int agreed = 0;
    for (const VoteFacts* vote : votes) {
      if (!vote->agrees || !Speaks(*vote, rule)) continue;
      ++agreed;
      out.holds_until = std::min(*out.holds_until, vote->expires_at);
      approved += fmt::format("{}{} ({})", approved.empty() ? "" : ", ", vote->user, vote->role);
    }
    out.needed += rule.quorum;
    out.agreed += std::min(agreed, rule.quorum);
    if (agreed < rule.quorum) {
      out.missing.push_back(
          fmt::format("{}: {} of {} ({})", rule.role, agreed, rule.quorum, Whose(rule)));
    }
  }
  if (!refused.empty()) {
    out.outcome = Outcome::kRefused;
    out.message = "refused by " + refused;
  } else if (!out.missing.empty()) {
    out.outcome = Outcome::kPending;
    out.message = fmt::format("decision {} lacks ", voting.current.front()->name);
    for (std::size_t i = 0; i < out.missing.size(); ++i) {
      out.message += (i == 0 ? "" : "; ") + out.missing[i];
    }
  } else {
    out.outcome = Outcome::kApproved;
    out.message = "approved by " + approved;
  }
}

}  // namespace

Tally Count(const Ballot& ballot, const std::vector<RoleRule>& rules, bool service_accounts,
            WallTime now) {
  Tally out;
  Voting voting{ballot, {}, rules, {}, service_accounts, now};
  voting.askers.insert(ballot.requested_by.begin(), ballot.requested_by.end());
  const DecisionFacts* outdated = nullptr;
  const DecisionFacts* expired = nullptr;
  for (const DecisionFacts& decision : ballot.decisions) {
    if (decision.subject.uid != ballot.subject.uid) continue;
    if (now >= decision.expires_at) {
      if (decision.subject == ballot.subject) expired = &decision;
    } else if (decision.subject == ballot.subject) {
      voting.current.push_back(&decision);
      voting.askers.insert(decision.requested_by);
      for (const RoleRule& rule : decision.roles) voting.rules.push_back(rule);
    } else if (decision.subject.stage == ballot.subject.stage) {
      outdated = &decision;
    }
  }
  const auto votes = LastVotes(voting, out);
  if (!voting.current.empty() && voting.rules.empty()) {
    out.outcome = Outcome::kPending;
    out.message = "the plan names nobody who may decide this";
    out.missing.push_back(out.message);
  } else if (!voting.current.empty()) {
    Weigh(voting, votes, out);
  } else if (outdated != nullptr) {
    out.outcome = Outcome::kOutdated;
    out.message = fmt::format("decision {} is about generation {}{}", outdated->name,
                              outdated->subject.generation,
                              outdated->subject.generation == ballot.subject.generation
                                  ? " under another plan"
                                  : fmt::format(", now it is {}", ballot.subject.generation));
  } else if (expired != nullptr) {
    out.outcome = Outcome::kExpired;
    out.message = fmt::format("decision {} expired at {}", expired->name,
                              base::FormatRfc3339(expired->expires_at));
  } else {
    out.message = "no decision yet";
  }
  if (voting.current.empty()) {
    for (const RoleRule& rule : rules) {
      out.needed += rule.quorum;
      out.missing.push_back(fmt::format("{}: 0 of {} ({})", rule.role, rule.quorum, Whose(rule)));
    }
  }
  return out;
}

std::string ClassOf(const Ballot& ballot, const std::vector<RoleRule>& rules, WallTime now) {
  if (rules.empty()) return "Ordinary";
  for (const std::string wanted : {"P0", "Security"}) {
    for (const DecisionFacts& decision : ballot.decisions) {
      if (decision.change_class != wanted) continue;
      Ballot own{ballot.subject, ballot.requested_by, {decision}, ballot.votes};
      if (Count(own, rules, false, now).outcome == Outcome::kApproved) return wanted;
    }
  }
  return "Ordinary";
}

}  // namespace sluice::gates
