// The next step of a site on its ladder. Pure: no client, clock, log or random.
//
// Invariants (each has a test):
//  1. At most one Promotion of a site is open; it is the one of the site's present generation, the
//     present plan and the next step. Others that are open are superseded first.
//  2. A Promotion goes exactly one stage up. Entering the first stage is a Promotion too.
//  3. A name is a function of what has been recorded, so a crash after the creation makes no second
//     one: `<site>-<generation>-<stage>`, and `-2`, `-3` … for another attempt of the same
//     generation, which only a changed plan makes.
//  4. A Promotion that was aborted is not tried again until the site's spec or the plan changes.
//  5. A step down goes straight to the wanted stage and has no gates.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "controller/base/clock.h"
#include "controller/base/status.h"

namespace sluice::promotion {

struct SiteView {
  std::string name;
  std::string uid;
  std::int64_t generation = 0;
  std::string wanted;   // spec.stage
  std::string reached;  // status.stage; empty before the first
  std::optional<base::WallTime> reached_at;
  std::string requested_by;
  bool deleting = false;
};

struct PlanView {
  std::string name;
  std::string hash;
  std::vector<std::string> stages;  // the lowest first
};

struct PromotionView {
  std::string name;
  std::string site_uid;
  std::int64_t generation = 0;
  std::string from;
  std::string to;
  std::string plan_hash;
  std::string outcome;  // empty while it is open
  std::string created;  // RFC 3339, which sorts as time
  bool open() const { return outcome.empty(); }
};

enum class StepKind {
  kNothing,   // the wanted stage is reached, or the attempt was aborted
  kCreate,    // make Promotion `promotion` to stage `to`
  kEvaluate,  // look at the open Promotion `promotion`
  kFinish,    // the site has reached what the open Promotion `promotion` is for: record its outcome
  kStepDown,  // set the stage to `to`
  kStuck,     // nothing can be done; `reason` and `message` say why
};

struct Step {
  StepKind kind = StepKind::kNothing;
  std::string promotion;
  std::string to;
  std::string reason;                  // a CamelCase word
  std::string message;                 // for people
  std::string unblocked_by;            // who or what can end it, where `reason` does not tell
  std::vector<std::string> supersede;  // open Promotions that are no longer asked for
  std::vector<std::string> forget;     // finished ones beyond the bound, the oldest first
};

// `plan` is an error when the class or its plan is missing (its message is shown). `promotions` are
// those that name the site, in any order.
Step PlanStep(const SiteView& site, const base::StatusOr<PlanView>& plan,
              const std::vector<PromotionView>& promotions);

// `phoenix-7-walk`, `phoenix-7-walk-2`.
std::string PromotionName(const SiteView& site, const std::string& stage, int attempt);

}  // namespace sluice::promotion
