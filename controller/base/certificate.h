// Keys and X.509 certificates as PEM texts: what holders of them ask, without a certificate
// authority (that is authority.h). Sources: RFC 5280, RFC 2986 (PKCS#10).
// Thread rule: pure but for randomness; any thread.
#pragma once

#include <string>
#include <vector>

#include "controller/base/clock.h"
#include "controller/base/status.h"

namespace sluice::base {

struct KeyPair {
  std::string certificate_pem;  // the leaf first, its chain behind it
  std::string key_pem;          // secret
};

struct Validity {
  WallTime not_before;
  WallTime not_after;
};

// Of the first certificate. Errors: InvalidArgument.
StatusOr<Validity> ValidityOf(const std::string& certificate_pem);
StatusOr<WallTime> NotAfter(const std::string& certificate_pem);

// Whether the certificate belongs to the key; false for what is neither.
bool KeyMatches(const std::string& key_pem, const std::string& certificate_pem);

// Whether the first certificate is good for a server of all these names; false for what is none.
bool CertificateCovers(const std::string& certificate_pem,
                       const std::vector<std::string>& dns_names,
                       const std::vector<std::string>& addresses);

struct KeyAndRequest {
  std::string key_pem;  // secret; P-256
  std::string csr_pem;  // says nothing but the public key: the signer knows who we are
};
StatusOr<KeyAndRequest> MakeCertificateRequest();

}  // namespace sluice::base
