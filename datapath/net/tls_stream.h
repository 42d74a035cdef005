// TLS as a Stream over a Stream, either side of it; OpenSSL in between. For who makes the SSL (a
// client's context in datapath/origin, a server's in tls_server.h); everybody else sees a Stream.
//
// OnConnected comes when the handshake has succeeded, for both sides; OnBroken when it or the
// verification failed. A deadline that runs meanwhile is the handshake's. An end without
// close_notify is broken, not ended. Bytes are copied by the encryption, so pages that were sent
// may be written again (sends_pages_by_reference() is false). What a server sends is encrypted by
// the kernel where it can (docs/adr/0291-tls-by-the-kernel.md).
//
// Thread rule and stop: as a Stream.
#pragma once

#include <memory>
#include <string>

#include "datapath/net/stream.h"

struct ssl_st;

namespace sluice::net {

enum class TlsRole : unsigned char { kClient, kServer };

// Takes `ssl` over and becomes the handler of `raw`: connecting (a client's) or connected. `keep`
// lives as long as the stream: what callbacks set on `ssl` refer to.
std::unique_ptr<Stream> MakeTlsStream(std::unique_ptr<Stream> raw, ssl_st* ssl, TlsRole role,
                                      StreamHandler* handler,
                                      std::shared_ptr<const void> keep = nullptr);

// Whether the kernel encrypts what is written to `stream`, which MakeTlsStream made and has told of
// its OnConnected.
bool IsEncryptedByKernel(Stream& stream);

// OpenSSL's oldest complaint of this thread, for people; its queue is empty afterwards.
std::string TlsError();

}  // namespace sluice::net
