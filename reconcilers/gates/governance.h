// What people did, as evidence: readiness items, decisions and votes, incidents, room, and another
// system's word. Plain values, gathered from objects before the evaluator is asked; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "controller/base/clock.h"

namespace sluice::gates {

// What a change is; whatever is not ordinary is so by a Decision.
enum class ChangeClass : std::uint8_t { kOrdinary, kP0, kSecurity };

// Who speaks in a role ("Decide", "Agree", "Recommend", "Perform", "Input"), and how many have to.
struct RoleRule {
  std::string role;
  std::vector<std::string> users;
  std::vector<std::string> groups;
  int quorum = 1;
  friend bool operator==(const RoleRule&, const RoleRule&) = default;
};

// One item of a readiness review.
struct ReadinessItem {
  std::string name;
  std::string owner;
  std::string verified_by;  // empty: nobody yet
  std::optional<base::WallTime> verified_at;
  base::Duration valid_for{0};
  std::string value;  // a decimal that was measured; empty: none
  friend bool operator==(const ReadinessItem&, const ReadinessItem&) = default;
};

struct ReadinessFacts {
  std::string review;  // the name it has or would have
  bool found = false;
  std::vector<ReadinessItem> items;
  friend bool operator==(const ReadinessFacts&, const ReadinessFacts&) = default;
};

// What a decision is about. Empty members are compared too.
struct Subject {
  std::string uid;
  std::int64_t generation = 0;
  std::string plan_hash;
  std::string stage;
  friend bool operator==(const Subject&, const Subject&) = default;
};

struct DecisionFacts {
  std::string name;
  std::string uid;
  Subject subject;
  std::string requested_by;
  std::vector<RoleRule> roles;
  std::string change_class;  // "Ordinary", "P0" or "Security"
  base::WallTime expires_at;
  friend bool operator==(const DecisionFacts&, const DecisionFacts&) = default;
};

struct VoteFacts {
  std::string approval;
  std::string decision_uid;
  // What the voter saw; a vote does not name the stage.
  std::string subject_uid;
  std::int64_t generation = 0;
  std::string plan_hash;
  std::string user;
  std::vector<std::string> groups;
  std::string role;
  bool agrees = false;
  base::WallTime cast_at;
  base::WallTime expires_at;
  friend bool operator==(const VoteFacts&, const VoteFacts&) = default;
};

// Everything that was decided and voted about one object, whatever its generation.
struct Ballot {
  Subject subject;                        // as it is now
  std::vector<std::string> requested_by;  // who asked for it: they have no voice
  std::vector<DecisionFacts> decisions;
  std::vector<VoteFacts> votes;
  friend bool operator==(const Ballot&, const Ballot&) = default;
};

struct IncidentFacts {
  std::string name;
  int severity = 0;  // 1 to 4
  std::string owner;
  base::WallTime opened_at;
  friend bool operator==(const IncidentFacts&, const IncidentFacts&) = default;
};
// Incidents of the site that are not closed.
struct IncidentList {
  std::vector<IncidentFacts> open;
  friend bool operator==(const IncidentList&, const IncidentList&) = default;
};

struct CapacityFacts {
  std::int64_t ready_agents = 0;
  friend bool operator==(const CapacityFacts&, const CapacityFacts&) = default;
};

// What another system answered. `error` set means nothing else counts.
struct ExternalFacts {
  std::string url;
  std::string verdict;  // "pass", "hold" or "fail"
  std::string reason;
  std::string error;
  friend bool operator==(const ExternalFacts&, const ExternalFacts&) = default;
};

}  // namespace sluice::gates
