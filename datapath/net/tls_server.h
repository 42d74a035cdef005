// The server's side of TLS: some certificates, chosen by the name the client asks for. Immutable;
// whoever exchanges certificates makes a new one, and connections made before keep theirs.
//
// TLS 1.2 and 1.3, forward secrecy and AEAD only, no renegotiation, no client certificates
// (identity is SigV4's), ALPN "http/1.1". A client that names no host, or one that no certificate
// covers, is shown the first: it says itself that the name is wrong. docs/adr/0190-server-tls.md
// has why there is no kTLS.
//
// Thread rule: any thread; a stream belongs to its loop. Stop: destroy the streams.
#pragma once

#include <memory>
#include <vector>

#include "controller/base/certificate.h"
#include "controller/base/status.h"
#include "datapath/net/stream.h"

namespace sluice::net {

class TlsServer {
 public:
  // At least one. Errors: InvalidArgument (not PEM, key and certificate do not match).
  static base::StatusOr<std::shared_ptr<const TlsServer>> Create(
      const std::vector<base::KeyPair>& certificates);
  virtual ~TlsServer() = default;

  // `raw` is connected and its handler becomes the new stream. `handler` hears OnConnected when the
  // handshake has succeeded. Errors: ResourceExhausted.
  virtual base::StatusOr<std::unique_ptr<Stream>> Accept(std::unique_ptr<Stream> raw,
                                                         StreamHandler* handler) const = 0;
};

}  // namespace sluice::net
