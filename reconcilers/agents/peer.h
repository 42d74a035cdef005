// Internal to this folder: who is on the other end of a call, by its certificate.
#pragma once

#include "controller/base/clock.h"
#include "controller/base/status.h"
#include "controller/rpc/server.h"
#include "reconcilers/agents/ca.h"

namespace sluice::agents {

struct Peer {
  AgentIdentity identity;
  base::WallTime certificate_not_after;
};
// Errors: Unauthenticated (no certificate, or not one URI), PermissionDenied (not an agent's).
base::StatusOr<Peer> PeerOf(const rpc::Call& call);

}  // namespace sluice::agents
