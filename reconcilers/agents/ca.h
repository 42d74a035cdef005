// The controller's own certificate authority: it names servers and agents, nobody else.
//
// A client certificate names exactly one site and node, in one URI SAN:
// spiffe://sluice.dev/site/SITE/node/NODE. Keys are P-256. Serial numbers are 127 random bits. No
// revocation list: certificates are short-lived, and what an identity may read is decided per
// stream. cert-manager may stand in for the server's certificate; agents are always named here.
//
// Sources: RFC 5280 (profile), RFC 2986 (PKCS#10), SPIFFE ID for the form of the URI.
// Thread rule: const methods from any thread.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "controller/base/clock.h"
#include "controller/base/status.h"

namespace sluice::agents {

struct AgentIdentity {
  std::string site;
  std::string node;
  friend auto operator<=>(const AgentIdentity&, const AgentIdentity&) = default;
};

std::string IdentityUri(const AgentIdentity& identity);
// Errors: PermissionDenied naming the URI, when it is not of that form with valid object names.
base::StatusOr<AgentIdentity> ParseIdentityUri(std::string_view uri);

struct KeyPair {
  std::string certificate_pem;
  std::string key_pem;  // secret
};

struct Certificate {
  std::string certificate_pem;
  base::WallTime not_before;
  base::WallTime not_after;
};

struct ServerCertificate {
  Certificate certificate;
  std::string key_pem;  // secret
};

// When a PEM certificate ends. Errors: InvalidArgument.
base::StatusOr<base::WallTime> NotAfter(const std::string& certificate_pem);

class CertificateAuthority {
 public:
  // A new self-signed authority, for the caller to keep in a Secret.
  static base::StatusOr<KeyPair> Create(const std::string& common_name, base::WallTime now,
                                        base::Duration life);
  // Errors: InvalidArgument (not PEM, key and certificate do not match, not a CA).
  static base::StatusOr<CertificateAuthority> Load(const KeyPair& pair);

  // Certificates never outlive the authority. Errors of both: FailedPrecondition when it has ended.
  base::StatusOr<ServerCertificate> IssueServer(const std::vector<std::string>& dns_names,
                                                base::WallTime now, base::Duration life) const;
  // Takes the public key of the request and nothing else of it.
  // Errors: InvalidArgument (not PKCS#10, signature wrong, key neither P-256/P-384 nor RSA >=
  // 2048).
  base::StatusOr<Certificate> SignAgent(const std::string& csr_pem, const AgentIdentity& identity,
                                        base::WallTime now, base::Duration life) const;

  const std::string& certificate_pem() const;
  base::WallTime not_after() const;
  // A key for digests that must not be guessable from outside yet equal in every replica.
  std::string DeriveKey(std::string_view purpose) const;

 private:
  struct Impl;
  explicit CertificateAuthority(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}
  std::shared_ptr<const Impl> impl_;
};

}  // namespace sluice::agents
