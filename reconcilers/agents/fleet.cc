#include "reconcilers/agents/fleet.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <map>
#include <mutex>
#include <tuple>

#include "reconcilers/agents/limits.h"

namespace sluice::agents {

struct FleetView::Impl {
  std::vector<std::function<void(const std::string&)>> listeners;
  mutable std::mutex mutex;
  // site -> node -> state
  std::map<std::string, std::map<std::string, NodeState>> sites;  // guarded by mutex
  std::size_t nodes = 0;                                          // guarded by mutex

  void MakeRoom();
};

// Forgets the agent that left the longest ago. `mutex` is held. Rare: only at the bound.
void FleetView::Impl::MakeRoom() {
  const NodeState* oldest = nullptr;
  for (const auto& [site, members] : sites) {
    for (const auto& [node, state] : members) {
      if (!state.connected && (oldest == nullptr || state.since < oldest->since)) oldest = &state;
    }
  }
  if (oldest == nullptr) return;  // all connected: streams are bounded by the server
  const AgentIdentity gone = oldest->identity;
  sites[gone.site].erase(gone.node);
  --nodes;
}

FleetView::FleetView() : impl_(std::make_unique<Impl>()) {}
FleetView::~FleetView() = default;

std::optional<NodeState> FleetView::Node(const AgentIdentity& identity) const {
  const std::lock_guard lock(impl_->mutex);
  const auto site = impl_->sites.find(identity.site);
  if (site == impl_->sites.end()) return std::nullopt;
  const auto node = site->second.find(identity.node);
  if (node == site->second.end()) return std::nullopt;
  return node->second;
}

std::vector<NodeState> FleetView::Nodes(const std::string& site) const {
  const std::lock_guard lock(impl_->mutex);
  std::vector<NodeState> out;
  const auto found = impl_->sites.find(site);
  if (found == impl_->sites.end()) return out;
  out.reserve(found->second.size());
  for (const auto& [node, state] : found->second) out.push_back(state);
  return out;
}

SiteSummary FleetView::Summarise(const std::string& site, const std::string& version,
                                 const Order& record) const {
  const std::lock_guard lock(impl_->mutex);
  SiteSummary summary;
  const auto found = impl_->sites.find(site);
  if (found == impl_->sites.end()) return summary;
  for (const auto& [node, state] : found->second) {
    if (!state.connected) continue;
    ++summary.connected;
    if (!version.empty() && state.applied_version == version) ++summary.in_step;
    if (!version.empty() && state.nacked_version == version) {
      ++summary.nacked;
      if (summary.example_nack.empty()) {
        summary.example_nack = fmt::format("node {}: {}", node, state.nack_reason);
      }
    }
    if (state.health == AgentHealth::kDegraded) {
      ++summary.degraded;
      if (summary.example_problem.empty()) {
        summary.example_problem = fmt::format("node {}: {}", node, fmt::join(state.problems, "; "));
      }
    }
    if (state.certificates == CertificateState::kShown) ++summary.tls_shown;
    if (state.certificates > summary.certificates) {
      summary.certificates = state.certificates;
      summary.example_certificate = fmt::format("node {}: {}", node, state.certificate_problem);
    }
    const Order& seen = state.seen_order;
    if (seen.lineage == record.lineage &&
        std::tie(seen.epoch, seen.revision) > std::tie(record.epoch, record.revision)) {
      ++summary.ahead;
    }
  }
  return summary;
}

void FleetView::Forget(const AgentIdentity& identity) {
  const std::lock_guard lock(impl_->mutex);
  const auto site = impl_->sites.find(identity.site);
  if (site == impl_->sites.end()) return;
  const auto node = site->second.find(identity.node);
  if (node == site->second.end() || node->second.connected) return;
  site->second.erase(node);
  --impl_->nodes;
  if (site->second.empty()) impl_->sites.erase(site);
}

void FleetView::OnChange(std::function<void(const std::string& site)> changed) {
  impl_->listeners.push_back(std::move(changed));
}

void FleetView::Update(const AgentIdentity& identity,
                       const std::function<bool(NodeState&)>& change) {
  bool tell = false;
  {
    const std::lock_guard lock(impl_->mutex);
    auto& members = impl_->sites[identity.site];
    auto node = members.find(identity.node);
    if (node == members.end()) {
      if (impl_->nodes >= kMaxNodes) impl_->MakeRoom();
      node = impl_->sites[identity.site].emplace(identity.node, NodeState{}).first;
      node->second.identity = identity;
      ++impl_->nodes;
    }
    tell = change(node->second);
  }
  if (!tell) return;
  for (const auto& listener : impl_->listeners) listener(identity.site);
}

}  // namespace sluice::agents
