#include "reconcilers/agents/peer.h"

namespace sluice::agents {

base::StatusOr<Peer> PeerOf(const rpc::Call& call) {
  const rpc::Peer& shown = call.peer();
  if (shown.uris.size() != 1) {
    return base::Unauthenticated("the certificate does not name exactly one agent");
  }
  SLUICE_ASSIGN_OR_RETURN(auto identity, ParseIdentityUri(shown.uris.front()));
  return Peer{std::move(identity), shown.certificate_not_after};
}

}  // namespace sluice::agents
