// What a Rollout does next. Pure: no client, clock, log or random. docs/adr/0170-rollouts.md
//
// The Rollout's status is the plan's only memory, and the Sites' controllers obey it: how many
// nodes may have the release stands there before any node gets it. Whatever dies between two
// writes, the next run reads the same status and plans the same.
//
// Invariants (each has a test):
//  1. A site's number of nodes only grows, one step at a time: the canary nodes, then steps of
//     stepPercent; the next one when every agent of the step has been ready for soakSeconds, but
//     for failing ones that maxFailures allows, and with `gatesAt: Step` when the gates pass.
//  2. A wave starts when the one before is done, its gates passed, and nothing holds its sites.
//  3. Nothing new begins while it is paused, stopped by failures or by the deadline, its Release is
//     gone or at its end, or the audit log cannot be written. What is under way finishes; what is
//     aborted stops where it stands.
//  4. What ended stays ended, but for one revert. A revert goes back wave by wave, the last first,
//     and leaves alone what something else has moved on since. An action that is not taken says
//     why.
//  5. Every change of a number, state, direction or outcome is a Move, to be in the audit log
//  first.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "controller/base/clock.h"
#include "controller/base/status.h"
#include "reconcilers/gates/cause.h"

namespace sluice::v1alpha1 {
class RolloutSpec;
class RolloutStatus;
}  // namespace sluice::v1alpha1

namespace sluice::rollout {

struct ReleaseView {
  std::string version, image, image_pull_policy;
  std::vector<std::string> upgrade_from;  // empty: from any
  std::optional<base::WallTime> end_of_life;
};

// What a site ran before a Rollout that was aborted on the way: some of its nodes still do.
struct LeftBehind {
  std::string release, image, image_pull_policy;
  std::string version;  // empty: no Release has that image
};

struct SiteView {
  std::string name, uid;
  bool in_other_cluster = false;
  bool current = false;  // its status speaks of its present spec
  // spec.release; `image` is never empty: what the controller was installed with stands in for it.
  std::string release, image, image_pull_policy, rollout;
  bool rollout_open = false;  // `rollout` is another one, and has not ended
  std::string version;        // of what it runs; empty: no Release has that image
  std::optional<LeftBehind> left_behind;
  int nodes = 0;
  // What its status counts, and of which image.
  std::string counted_image;
  int updated = 0, updated_ready = 0, failed = 0;
  std::string failure;
};

// Something that holds it. `word` is shown as the cause where none of the gates' causes says it.
struct Hold {
  std::string gate;
  gates::Cause cause = gates::Cause::kPending;
  std::string message, unblocked_by, word;
};

// What has to be asked before a wave starts, takes its next steps, or goes back: the wave's gates
// about each site of `judged`, and what holds each site of `moved` (freezes).
struct Question {
  std::string wave;
  bool revert = false;
  std::vector<std::string> judged, moved;
  bool step = false;
  friend bool operator==(const Question&, const Question&) = default;
};
struct Answer {
  Question question;
  bool passed = false;
  bool abort = false;
  bool revert = false;
  std::vector<Hold> holds;
  std::shared_ptr<const v1alpha1::RolloutStatus> said;  // its gates alone
  base::Duration again{0};
};

struct Observed {
  std::string name;
  std::int64_t generation = 0;
  const v1alpha1::RolloutSpec* spec = nullptr;
  const v1alpha1::RolloutStatus* status = nullptr;
  base::StatusOr<ReleaseView> release = base::NotFound("");
  std::map<std::string, SiteView> sites;                    // all that are not being deleted
  std::map<std::string, std::vector<std::string>> members;  // by wave: what its selector gives
  std::string audit_problem;                                // empty: it can be written
  std::optional<Answer> answer;
  base::WallTime now;
};

// Types of the audit log's entries.
inline constexpr const char* kWaveStarted = "RolloutWaveStarted";
inline constexpr const char* kStep = "RolloutStep";
inline constexpr const char* kSiteDone = "RolloutSiteDone";
inline constexpr const char* kSiteLeft = "RolloutSiteLeft";
inline constexpr const char* kPaused = "RolloutPaused";
inline constexpr const char* kResumed = "RolloutResumed";
inline constexpr const char* kAborted = "RolloutAborted";
inline constexpr const char* kReverting = "RolloutReverting";
inline constexpr const char* kWaveReverting = "RolloutWaveReverting";
inline constexpr const char* kSiteReverted = "RolloutSiteReverted";
inline constexpr const char* kEnded = "RolloutEnded";

struct Move {
  const char* type = "";
  bool by_person = false;  // somebody asked for it by spec.action
  std::vector<std::pair<std::string, std::string>> data;
};

struct Plan {
  std::shared_ptr<v1alpha1::RolloutStatus> status;
  std::vector<Move> moves;
  std::vector<Hold> holds;           // the most severe first
  std::optional<Question> question;  // ask it, and plan again with the answer
  bool stopped = false;              // by failures or by the deadline
  base::Duration again{0};           // from now; zero: when something changes
};

Plan PlanRollout(const Observed& observed);

// What spec.release of each site must say for a status that was written; sites that say so already
// are left out.
struct SiteRelease {
  std::string site, release, image, image_pull_policy;
  bool under_rollout = false;
};
std::vector<SiteRelease> WantedReleases(const Observed& observed,
                                        const v1alpha1::RolloutStatus& written);

// What a Decision about a Rollout names: its waves and the Release with its image, none of which
// ever changes. A Release deleted and made anew with another image is another question.
std::string PlanHash(const v1alpha1::RolloutSpec& spec, const ReleaseView& release);

// `release`, unless it is not the one that the Rollout began with: FailedPrecondition then.
base::StatusOr<ReleaseView> AsBegun(base::StatusOr<ReleaseView> release,
                                    const v1alpha1::RolloutStatus& status);

}  // namespace sluice::rollout
