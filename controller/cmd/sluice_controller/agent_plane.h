// Everything agents talk to, in one process: authority, record, publisher, fleet, gRPC server.
//
// Runs on every replica. Order: Prepare (reads or makes the authority) -> Register (before the
// Manager runs) -> Start -> ... -> Stop. OnLead raises the fencing epoch.
//
// Thread rule: the owner's thread, but OnLead, publisher and fleet from any.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "controller/base/clock.h"
#include "controller/cmd/sluice_controller/authority.h"
#include "controller/cmd/sluice_controller/epoch_store.h"
#include "controller/cmd/sluice_controller/token_reviewer.h"
#include "controller/runtime/manager.h"
#include "reconcilers/agents/fleet.h"
#include "reconcilers/agents/publisher.h"
#include "reconcilers/agents/server.h"

namespace sluice::controller_main {

struct AgentPlaneOptions {
  std::string ns;
  std::string identity;
  std::string control_address;
  std::string enrolment_address;
  base::Duration agent_certificate_life = std::chrono::hours(24);
};

class AgentPlane {
 public:
  // `account_of`, `cluster`: as ClusterTokenReviewer's. `roster` is asked from Start on.
  AgentPlane(AgentPlaneOptions options, client::Client& client, base::Clock& clock,
             std::function<std::string(const std::string& site)> account_of, agents::Roster roster,
             SiteCluster cluster = {});
  ~AgentPlane();  // Stop()

  // Errors: the client's; DataLoss (the Secret's content).
  base::Status Prepare();
  // Follows the record and the authority's Secret, adds metrics and the ready check "agents".
  void Register(runtime::Manager& manager);
  // Errors: Unavailable (a port is taken) and the like.
  base::Status Start();
  void Stop();

  // Raises the fencing epoch; tries a few times before it gives up. Errors: the client's.
  base::Status OnLead();

  agents::ConfigPublisher& publisher() { return *publisher_; }  // after Prepare
  agents::FleetView& fleet() { return fleet_; }
  agents::AgentServer& server() { return *server_; }
  // What agents have to trust now; for the CA bundles in the sites' namespaces.
  std::string TrustPem() const;
  // The authority's key, for what this process signs. Secret.
  std::string SigningKeyPem() const;

  // Called once when this replica led and somebody raised the epoch above it (a new lineage was
  // started, too); set it before Prepare.
  void OnFenced(std::function<void()> fenced) { fenced_ = std::move(fenced); }

  // Called after another authority came into force; set it before the Manager runs.
  void OnAuthority(std::function<void()> changed) { authority_changed_ = std::move(changed); }
  // Takes the authority from its Secret when it changed. For the reconciler that follows it.
  base::Status Follow(const meta::Object& secret);

 private:
  base::Status TakeOver();

  const AgentPlaneOptions options_;
  client::Client& client_;
  base::Clock& clock_;
  ConfigMapEpochStore epochs_;
  ClusterTokenReviewer reviewer_;
  const agents::Roster roster_;
  agents::FleetView fleet_;
  std::unique_ptr<agents::ConfigPublisher> publisher_;
  std::unique_ptr<agents::AgentServer> server_;
  std::atomic<bool> started_{false};
  std::function<void()> authority_changed_;
  std::function<void()> fenced_;

  mutable std::mutex mutex_;
  Authority authority_;  // guarded by mutex_
};

}  // namespace sluice::controller_main
