// How a Rollout's number becomes nodes. While `Site.spec.release.rolloutRef` is set, the agents'
// DaemonSet replaces no pod by itself (OnDelete), and this says which pods are deleted, so that
// exactly as many nodes have the new template as the Rollout's status allows
// (docs/adr/0170-rollouts.md). Pure.
//
// Invariants (each has a test):
//  1. Never more nodes are given the new template than `target`; nodes whose pod is missing or
//     ending count as given, since the DaemonSet makes their pod anew from it.
//  2. A ready pod is deleted only while fewer than `max_unavailable` nodes are without a ready one.
//  3. A Rollout that is missing, or does not speak of this very Site, gives no node anything.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "controller/base/clock.h"
#include "controller/meta/object.h"

namespace sluice::v1alpha1 {
class Site;
}  // namespace sluice::v1alpha1

namespace sluice::site {

struct Partition {
  bool active = false;
  std::string rollout;
  int target = 0;                     // nodes that may have the site's image
  std::string max_unavailable = "1";  // a number or a percentage
  std::string problem;                // why the target is not known: nothing moves
};

// `rollout` is the object that the Site names, or null.
Partition PartitionOf(const v1alpha1::Site& site, const std::string& uid,
                      const meta::ObjectPtr& rollout);

// "3" or "10%" (rounded up) of `nodes`; at least 1.
int MaxUnavailable(const std::string& text, int nodes);

struct PodState {
  std::string name;
  std::string uid;
  std::string node;
  bool current = false;  // of the DaemonSet's newest template
  bool ready = false;
  bool ending = false;
  std::string failure;  // why it cannot start or keeps ending; empty: it does neither
};
// `revision` is the newest template's hash, as the DaemonSet controller labels pods with it. Ready
// is what has been so for kReadyFor at `now`, as the DaemonSet controller sees it by
// minReadySeconds.
PodState PodFrom(const nlohmann::json& pod, const std::string& revision, base::WallTime now);
// The hash of the newest ControllerRevision of the DaemonSet with that UID; empty: there is none.
std::string NewestRevision(const std::vector<nlohmann::json>& revisions, const std::string& uid);

struct NodeMoves {
  int updated = 0;        // nodes that have the new template
  int updated_ready = 0;  // those whose agent is ready
  int failed = 0;         // those whose agent fails
  std::string failure;    // of the first of them, by node
  std::vector<PodState> replace;
};
// `wanted`: nodes the DaemonSet should run on.
NodeMoves PlanMoves(int wanted, int target, int max_unavailable, std::vector<PodState> pods);

}  // namespace sluice::site
