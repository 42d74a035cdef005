#include "reconcilers/site/partition.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <nlohmann/json.hpp>

#include "api/v1alpha1/rollout.pb.h"
#include "api/v1alpha1/site.pb.h"
#include "controller/base/time_format.h"
#include "reconcilers/common/decode.h"
#include "reconcilers/site/limits.h"

namespace sluice::site {
namespace {

using nlohmann::json;

constexpr std::array<std::string_view, 7> kCannotStart = {
    "CrashLoopBackOff",  "ImagePullBackOff",           "ErrImagePull",     "InvalidImageName",
    "RunContainerError", "CreateContainerConfigError", "ErrImageNeverPull"};
// Restarts of a container that is not ready after which it keeps ending.
constexpr int kKeepsEnding = 3;

std::string FailureOf(const json& pod, bool ready) {
  const json status = pod.value("status", json::object());
  if (status.value("phase", "") == "Failed") return status.value("reason", "the pod failed");
  for (const json& container : status.value("containerStatuses", json::array())) {
    const json waiting = container.value("/state/waiting"_json_pointer, json::object());
    const std::string reason = waiting.value("reason", "");
    if (std::find(kCannotStart.begin(), kCannotStart.end(), reason) != kCannotStart.end()) {
      return reason;
    }
    const int restarts = container.value("restartCount", 0);
    if (!ready && restarts >= kKeepsEnding) return fmt::format("restarted {} times", restarts);
  }
  return "";
}

}  // namespace

Partition PartitionOf(const v1alpha1::Site& site, const std::string& uid,
                      const meta::ObjectPtr& rollout) {
  Partition out;
  if (!site.spec().release().has_rollout_ref()) return out;
  out.active = true;
  out.rollout = site.spec().release().rollout_ref().name();
  if (rollout == nullptr) {
    out.problem =
        fmt::format("Rollout {}, named by spec.release.rolloutRef, does not exist", out.rollout);
    return out;
  }
  const auto decoded = common::Decode<v1alpha1::Rollout>(*rollout);
  if (!decoded.ok()) {
    out.problem = fmt::format("Rollout {}: {}", out.rollout, decoded.status().message());
    return out;
  }
  for (const v1alpha1::RolloutSite& each : (*decoded)->status().sites()) {
    if (each.uid() != uid) continue;
    out.target = each.target_nodes();
    if (!each.max_unavailable().empty()) out.max_unavailable = each.max_unavailable();
    return out;
  }
  out.problem = fmt::format("Rollout {} does not speak of this Site", out.rollout);
  return out;
}

int MaxUnavailable(const std::string& text, int nodes) {
  int number = 1;
  std::from_chars(text.data(), text.data() + text.size(), number);
  if (!text.empty() && text.back() == '%') number = (nodes * number + 99) / 100;
  return std::max(1, number);
}

PodState PodFrom(const json& pod, const std::string& revision, base::WallTime now) {
  PodState out;
  const json metadata = pod.value("metadata", json::object());
  out.name = metadata.value("name", "");
  out.uid = metadata.value("uid", "");
  out.node = pod.value("/spec/nodeName"_json_pointer, "");
  out.ending = metadata.contains("deletionTimestamp");
  out.current =
      !revision.empty() &&
      metadata.value("labels", json::object()).value("controller-revision-hash", "") == revision;
  bool ready = false;
  for (const json& condition : pod.value("/status/conditions"_json_pointer, json::array())) {
    if (condition.value("type", "") != "Ready") continue;
    ready = condition.value("status", "") == "True" && !out.ending;
    const auto told = condition.find("lastTransitionTime");  // null where nobody said it
    const bool is_told = told != condition.end() && told->is_string();
    const auto since = base::ParseRfc3339(is_told ? told->get<std::string>() : std::string());
    out.ready = ready && (!since.ok() || *since + kReadyFor <= now);
  }
  out.failure = FailureOf(pod, ready);
  return out;
}

std::string NewestRevision(const std::vector<json>& revisions, const std::string& uid) {
  std::int64_t newest = -1;
  std::string hash;
  for (const json& revision : revisions) {
    const json metadata = revision.value("metadata", json::object());
    const json owners = metadata.value("ownerReferences", json::array());
    const bool ours = std::any_of(owners.begin(), owners.end(),
                                  [&](const json& o) { return o.value("uid", "") == uid; });
    const std::int64_t number = revision.value("revision", std::int64_t{0});
    if (!ours || number <= newest) continue;
    newest = number;
    hash = metadata.value("labels", json::object()).value("controller-revision-hash", "");
  }
  return hash;
}

NodeMoves PlanMoves(int wanted, int target, int max_unavailable, std::vector<PodState> pods) {
  NodeMoves out;
  // Ready ones first: a step shall show how the release does on nodes that were well.
  std::sort(pods.begin(), pods.end(), [](const PodState& a, const PodState& b) {
    return a.ready != b.ready ? a.ready : a.node < b.node;
  });
  int staying = 0, ready = 0;
  const PodState* first_failed = nullptr;
  for (const PodState& pod : pods) {
    if (pod.ending) continue;
    ++staying;
    if (pod.ready) ++ready;
    if (!pod.current) continue;
    ++out.updated;
    if (pod.ready) ++out.updated_ready;
    if (pod.failure.empty()) continue;
    ++out.failed;
    if (first_failed == nullptr || pod.node < first_failed->node) first_failed = &pod;
  }
  if (first_failed != nullptr) {
    out.failure = fmt::format("node {}: {}", first_failed->node, first_failed->failure);
  }
  int room = target - out.updated - std::max(0, wanted - staying);
  int budget = max_unavailable - std::max(0, wanted - ready);
  for (PodState& pod : pods) {
    if (room <= 0) break;
    if (pod.current || pod.ending || (pod.ready && budget <= 0)) continue;
    if (pod.ready) --budget;
    --room;
    out.replace.push_back(std::move(pod));
  }
  return out;
}

}  // namespace sluice::site
