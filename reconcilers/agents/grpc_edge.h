// Internal to this folder: gRPC's types meet ours here. Include only from .cc files.
#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>

#include "controller/base/status.h"
#include "reconcilers/agents/ca.h"

namespace sluice::agents {

// Codes are the same canonical ones.
inline grpc::Status ToGrpc(const base::Status& status) {
  return {static_cast<grpc::StatusCode>(status.code()), status.message()};
}

// Sends core's own log lines through ours, at debug level: a stranger's failed handshake is not
// news, and must not fill the log. Idempotent.
void RouteCoreLog();

// A message whose bytes are shared by every stream it is sent on.
grpc::ByteBuffer SharedBuffer(std::shared_ptr<const std::string> bytes);

// Who is on the other end, by its certificate.
struct Peer {
  AgentIdentity identity;
  base::WallTime certificate_not_after;
};
// Errors: Unauthenticated (no certificate, or several URIs), PermissionDenied (not an agent's).
base::StatusOr<Peer> PeerOf(const grpc::ServerContextBase& context);

// A server's key, certificate and client CAs, replaced while it runs.
class CertificateSlot {
 public:
  CertificateSlot();
  ~CertificateSlot();
  // `client_roots_pem` is used by ports that ask for client certificates.
  void Set(KeyPair server, std::string client_roots_pem);
  // Credentials that fetch from this slot at each handshake. The slot must outlive every server
  // built with them.
  std::shared_ptr<grpc::ServerCredentials> Credentials(bool require_client_certificate);

 private:
  struct Shared;
  class Reloading;
  std::shared_ptr<Shared> shared_;
  std::vector<std::shared_ptr<grpc::ServerCredentials>> made_;  // fetchers' addresses stay valid
};

}  // namespace sluice::agents
