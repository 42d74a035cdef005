#include "reconcilers/site/mover.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "controller/base/log.h"
#include "reconcilers/common/release_resources.h"
#include "reconcilers/common/resources.h"
#include "reconcilers/site/limits.h"
#include "reconcilers/site/objects.h"

namespace sluice::site {

using nlohmann::json;

namespace {

std::string ImageOf(const json& daemon_set) {
  return daemon_set.value("/spec/template/spec/containers/0/image"_json_pointer, std::string());
}

// The API server counts these DaemonSets' pods by the labels the DaemonSet selects them by.
client::ListOptions Ours(const Inputs& in) {
  client::ListOptions options;
  options.ns = NamespaceOf(in.name);
  options.label_selector =
      fmt::format("app.kubernetes.io/name={},sluice.dev/site={}", kAgentName, in.name);
  return options;
}

}  // namespace

base::StatusOr<std::optional<Moved>> MoveNodes(client::Client& api, const Inputs& in,
                                               base::WallTime now) {
  const auto object = api.Get(common::kDaemonSets, {NamespaceOf(in.name), kAgentName});
  if (object.status().code() == base::Code::kNotFound) return std::optional<Moved>();
  if (!object.ok()) return object.status();
  const json daemon_set = (*object)->ToJson();
  const json status = daemon_set.value("status", json::object());
  if (status.value("observedGeneration", std::int64_t{0}) < (*object)->generation()) {
    return std::optional<Moved>();
  }
  SLUICE_ASSIGN_OR_RETURN(const client::ObjectList revisions,
                          api.List(common::kControllerRevisions, Ours(in)));
  std::vector<json> history;
  for (const meta::ObjectPtr& each : revisions.items) history.push_back(each->ToJson());
  const std::string newest = NewestRevision(history, std::string((*object)->uid()));
  if (newest.empty()) return std::optional<Moved>();
  SLUICE_ASSIGN_OR_RETURN(const client::ObjectList list, api.List(common::kPods, Ours(in)));
  std::vector<PodState> pods;
  for (const meta::ObjectPtr& pod : list.items) pods.push_back(PodFrom(pod->ToJson(), newest, now));
  const int wanted = status.value("desiredNumberScheduled", 0);
  const NodeMoves moves =
      PlanMoves(wanted, in.partition.target, MaxUnavailable(in.partition.max_unavailable, wanted),
                std::move(pods));
  for (const PodState& pod : moves.replace) {
    base::log::Info("agent replaced for a rollout",
                    {{"site", in.name}, {"node", pod.node}, {"rollout", in.partition.rollout}});
    const base::Status deleted =
        api.Delete(common::kPods, {NamespaceOf(in.name), pod.name}, {{pod.uid, ""}});
    // Gone, or already another one: the next look tells.
    if (!deleted.ok() && deleted.code() != base::Code::kNotFound &&
        deleted.code() != base::Code::kAborted) {
      return deleted;
    }
  }
  return std::optional<Moved>(Moved{ImageOf(daemon_set), wanted, moves.updated, moves.updated_ready,
                                    moves.failed, moves.failure});
}

std::chrono::milliseconds MoveLook(int nodes) {
  return std::clamp<std::chrono::milliseconds>(nodes * kMoveLookPerNode, kShortestMoveLook,
                                               kLongestMoveLook);
}

}  // namespace sluice::site
