// The manifests of a question and of a vote, filled in from the objects they are about: nobody
// copies UIDs and hashes by hand. They are printed, and the user creates them. Pure.
#pragma once

#include <string>
#include <vector>

#include "controller/base/clock.h"
#include "controller/base/status.h"
#include "controller/meta/object.h"

namespace sluice::kubectl {

// A Decision about the open Promotion's step, asked by `user`. Errors: FailedPrecondition when the
// site has no open Promotion.
base::StatusOr<std::string> DecisionManifest(const std::string& site,
                                             const std::vector<meta::ObjectPtr>& promotions,
                                             const std::string& user, base::Duration open_for,
                                             base::WallTime now);

struct VoteWish {
  std::string role;
  bool agrees = true;
  std::vector<std::string> groups;
  std::string comment;
};
// An Approval of `decision` by `user`, which ends with the Decision. The name is made by the API
// server, so that a later vote is another object.
std::string ApprovalManifest(const meta::Object& decision, const std::string& user,
                             const VoteWish& wish);

}  // namespace sluice::kubectl
