// The chain a site's next stage hangs on, made of what its objects' statuses record. Pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "controller/base/clock.h"
#include "controller/base/status.h"
#include "controller/meta/object.h"
#include "reconcilers/gates/objects/people.h"

namespace sluice::kubectl {

// The objects an answer is made of.
struct Objects {
  meta::ObjectPtr site;
  std::vector<meta::ObjectPtr> promotions;  // those that name the site, in any order
  meta::ObjectPtr plan;                     // nullptr: missing
  std::vector<meta::ObjectPtr> objectives;  // all of them
  gates::PeopleObjects people;              // all of them
};

struct Evidence {
  std::string query, window, value, sample_time, error;
};

struct GateLine {
  std::string name, verdict, cause, message, value, threshold;
  std::string since, valid_until, evaluated_at, evidence_hash;
  std::string unblocked_by;  // of a gate that holds
  std::vector<std::string> causes;
  std::vector<Evidence> evidence;  // the long window first
};

struct Blocker {
  std::string gate, cause, message, since, unblocked_by;
};

// A stage after the next one, judged by what is known today.
struct LaterStage {
  std::string stage;
  int gates = 0;
  std::vector<GateLine> holds;       // would hold
  std::vector<std::string> unknown;  // nothing is known that could decide these
};

struct Chain {
  std::string site, wants, stage, stage_reached_at;
  std::string next;                                        // the stage climbed to; empty: none
  std::string promotion, requested_by, asked_at, outcome;  // of the latest Promotion
  std::vector<GateLine> gates;    // the ones that hold first, the most severe first
  std::vector<Blocker> blockers;  // of the Site itself, not of a gate
  std::vector<LaterStage> then;
  std::string next_look;
  // The controller has not looked at the Site's present spec: what stands above is of an older one.
  // Empty: it has.
  std::string stale;
  std::string note;  // when there is no open Promotion, and the Site is not stale: why
};

// Errors: InvalidArgument when an object is not what its schema says.
base::StatusOr<Chain> BuildChain(const Objects& objects, base::WallTime now);

}  // namespace sluice::kubectl
