// TLS towards origins (net/tls_stream.h has the stream). The peer's certificate is always verified,
// against its name or address (its subjectAltName, never a common name), with the configured
// authorities.
//
// Thread rule: a TlsContext may be shared by loops; a stream belongs to its loop. Stop: destroy it.
#pragma once

#include <memory>
#include <string>

#include "controller/base/status.h"
#include "datapath/net/stream.h"

namespace sluice::origin {

class TlsContext {
 public:
  // `ca_pem`: authorities to trust; empty: the system's. Errors: InvalidArgument (no certificate in
  // the text), Internal (OpenSSL).
  static base::StatusOr<std::shared_ptr<TlsContext>> Create(const std::string& ca_pem);
  virtual ~TlsContext() = default;
  // Wraps `raw`, which is still connecting and whose handler this becomes. `handler` hears
  // OnConnected when the handshake has succeeded, OnBroken when it or the verification failed.
  virtual base::StatusOr<std::unique_ptr<net::Stream>> Wrap(std::unique_ptr<net::Stream> raw,
                                                            const std::string& host,
                                                            net::StreamHandler* handler) = 0;
};

}  // namespace sluice::origin
