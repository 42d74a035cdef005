// What the tests of TLS streams share: a server's certificate, bytes to send, and all that can be
// read.
#pragma once

#include <memory>
#include <string>

#include "controller/base/authority.h"
#include "controller/base/clock.h"
#include "datapath/net/stream.h"
#include "datapath/net/tls_server.h"

namespace sluice::net {

inline std::shared_ptr<const TlsServer> ServerOfTests(base::Clock& clock) {
  const auto authority =
      base::CertificateAuthority::Create("test", clock.Wall(), std::chrono::hours(24)).value();
  const auto made = base::CertificateAuthority::Load(authority)->IssueServer(
      {"x.lab"}, clock.Wall(), std::chrono::hours(2));
  return TlsServer::Create({{made->certificate.certificate_pem, made->key_pem}}).value();
}

inline std::string Pattern(std::size_t size) {
  std::string bytes(size, '\0');
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>(i * 31 % 251);
  return bytes;
}

// Reads what is there now; the state in which reading stopped.
inline IoResult::State ReadInto(Stream& from, std::string* into) {
  char buffer[40'000];
  for (;;) {
    const IoResult result = from.Read(buffer);
    if (!result.ok()) return result.state;
    into->append(buffer, result.bytes);
  }
}

}  // namespace sluice::net
