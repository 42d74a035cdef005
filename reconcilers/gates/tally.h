// Counts votes: one pure function says whether the people who have to agree did. The approval gate,
// the status of a Decision, exemptions and classes of change all ask it.
//
// Invariants (each has a test):
//  1. A vote counts only for a Decision about exactly this subject (UID, generation, plan, stage)
//     that has not expired, when it saw that subject, has not expired itself, its user has the role
//     (by name or by a group proved at admission), and is not who asked. A service account's counts
//     only when allowed. A time at a boundary is past it.
//  2. All Decisions about one subject are counted together: asking again does not forget a refusal.
//  3. Of one user's votes in one role the last counts; of two at the same instant the disagreement.
//  4. Disagree of somebody who Agrees or Decides refuses, whatever the others say.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "controller/base/clock.h"
#include "reconcilers/gates/governance.h"

namespace sluice::gates {

enum class Outcome : std::uint8_t {
  kNone,      // nobody asked
  kOutdated,  // asked and answered about another generation or plan
  kExpired,   // every Decision about it is over
  kPending,   // voices are missing
  kRefused,
  kApproved,
};

struct CountedVote {
  std::string approval, user, role;
  bool agrees = false;
  std::string why_not;  // empty: it counts
};

struct Tally {
  Outcome outcome = Outcome::kNone;
  std::string message;               // for people
  std::vector<std::string> missing;  // "Decide: 1 of 2 (group council)"
  std::vector<CountedVote> votes;    // all that name a Decision of this object
  std::optional<base::WallTime>
      holds_until;  // when the first vote or Decision that carries it ends
  int agreed = 0;   // voices there are, of `needed`
  int needed = 0;
};

// `rules` are the plan's; those of the Decisions are added. No rule at all: nobody may decide.
Tally Count(const Ballot& ballot, const std::vector<RoleRule>& rules, bool service_accounts,
            base::WallTime now);

// The class of change that an approved Decision about this subject gives it: "P0", "Security", or
// "Ordinary". Each Decision is counted by itself, by `rules` and its own.
std::string ClassOf(const Ballot& ballot, const std::vector<RoleRule>& rules, base::WallTime now);

}  // namespace sluice::gates
