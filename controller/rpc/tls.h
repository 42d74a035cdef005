// Internal to this folder: TLS of a server's connections.
#pragma once

#include <memory>
#include <string>

#include "controller/base/certificate.h"
#include "controller/base/status.h"
#include "controller/rpc/server.h"

struct bio_st;
struct ssl_ctx_st;
struct ssl_st;

namespace sluice::rpc {

// A context for the handshakes from now on: this certificate, and client certificates under these
// roots when `roots_pem` is not empty. Connections hold a reference of their own.
// Errors: InvalidArgument (not PEM, certificate and key do not match).
base::StatusOr<std::shared_ptr<ssl_ctx_st>> MakeServerContext(const base::KeyPair& pair,
                                                              const std::string& roots_pem);

// A socket for OpenSSL, which writes without SIGPIPE and leaves it to its owner to close.
bio_st* NewSocketBio(int fd);

// After the handshake. Errors: Unauthenticated (no HTTP/2 by ALPN).
base::StatusOr<std::shared_ptr<const Peer>> PeerOf(ssl_st* tls);

// The newest error of this thread's OpenSSL queue as text; clears the queue.
std::string TakeTlsError();

}  // namespace sluice::rpc
