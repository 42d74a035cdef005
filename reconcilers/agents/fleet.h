// The agents as this replica sees them: who is connected, what each runs, what it refused and why.
//
// Written by the server (server.h), read by reconcilers, the page and metrics. An agent keeps a
// stream to every replica it finds, so each replica's view is whole by itself and a new leader
// starts with one. Numbers here are per-replica memory: never written into a custom resource node
// by node.
//
// Bound: kMaxNodes; agents that left the longest ago are forgotten first.
// Thread rule: any thread. Listeners run with no lock held, on the thread that changed something,
// and must be quick (put a key in a queue).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "controller/base/clock.h"
#include "reconcilers/agents/ca.h"
#include "reconcilers/agents/publisher.h"

namespace sluice::agents {

enum class AgentHealth : std::uint8_t { kUnknown, kStarting, kServing, kDegraded, kDraining };

// How an agent's listeners with TLS stand: the worst of them, in this order. kUnknown: it has none,
// or is too old to tell.
enum class CertificateState : std::uint8_t { kUnknown, kShown, kEnded, kUnusable, kMissing };

struct NodeState {
  AgentIdentity identity;
  bool connected = false;
  base::WallTime since;         // connected, or left
  std::string agent_version;    // of the program
  std::string applied_version;  // of the configuration in force; empty: none
  Order applied_order;
  Order seen_order;            // the highest the agent was ever offered
  std::string nacked_version;  // of the last refusal; empty once something newer is applied
  std::string nack_reason;
  AgentHealth health = AgentHealth::kUnknown;
  std::vector<std::string> problems;  // what it is degraded by
  CertificateState certificates = CertificateState::kUnknown;
  std::string certificate_problem;
};

struct SiteSummary {
  int connected = 0;
  int in_step = 0;  // run the version asked about
  int nacked = 0;   // refused the version asked about
  int ahead = 0;    // saw a higher order of our lineage than our record's: it was lost or restored
  std::string example_nack;     // "node n1: reason", of one of those that refused
  int degraded = 0;             // serve, but not as they should
  std::string example_problem;  // "node n1: problem", of one of those
  int tls_shown = 0;            // show a certificate that clients can believe
  CertificateState certificates = CertificateState::kUnknown;  // the worst
  std::string example_certificate;  // "node n1: problem", of one of the worst
};

class FleetView {
 public:
  FleetView();
  ~FleetView();
  FleetView(const FleetView&) = delete;
  FleetView& operator=(const FleetView&) = delete;

  std::optional<NodeState> Node(const AgentIdentity& identity) const;
  std::vector<NodeState> Nodes(const std::string& site) const;
  // `version`: what nodes should run; `record`: the highest order this replica knows.
  SiteSummary Summarise(const std::string& site, const std::string& version,
                        const Order& record) const;
  // The node is no longer of the site: its entry goes unless it is connected.
  void Forget(const AgentIdentity& identity);

  // Adds a listener for "a SiteSummary of this site may be another". Before the server starts.
  void OnChange(std::function<void(const std::string& site)> changed);

  // For the server. Changes one node's state and tells the listeners when `change` answers true:
  // something was changed that a SiteSummary tells.
  void Update(const AgentIdentity& identity, const std::function<bool(NodeState&)>& change);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice::agents
