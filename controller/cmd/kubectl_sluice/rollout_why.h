// What a Rollout is at, what holds it and who can end that, made of what its status records. Pure.
#pragma once

#include <string>

#include "controller/base/clock.h"
#include "controller/base/status.h"
#include "controller/cmd/kubectl_sluice/answer.h"
#include "controller/cmd/kubectl_sluice/text.h"
#include "controller/meta/object.h"

namespace sluice::kubectl {

struct RolloutAnswer {
  std::string text;
  std::string json;
};

// Errors: InvalidArgument when the object is not what its schema says.
base::StatusOr<RolloutAnswer> WhyRollout(const meta::Object& rollout, const Style& style,
                                         base::WallTime now);

// Whether it takes its next step by itself, by what the controller last recorded: it is open, its
// controller has seen its present spec, and nothing holds it. Errors: as WhyRollout.
base::StatusOr<Advance> CanRollOn(const meta::Object& rollout);

// A Decision about the Rollout's release and waves, asked by `user`. Errors: FailedPrecondition
// when it has ended, or its controller has not looked at it yet.
base::StatusOr<std::string> RolloutDecision(const meta::Object& rollout, const std::string& user,
                                            base::Duration open_for, base::WallTime now);

}  // namespace sluice::kubectl
