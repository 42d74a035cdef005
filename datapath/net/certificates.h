// Certificates and keys of a TLS server, from PEM files: read, judged, told about. Blocking reads
// of small files: not for a loop's thread.
#pragma once

#include <string>
#include <vector>

#include "controller/base/certificate.h"
#include "controller/base/status.h"

namespace sluice::net {

struct CertificateFiles {
  std::string certificate;  // PEM: the leaf first, its chain behind it
  std::string key;          // PEM, not encrypted; may be the same file
  friend bool operator==(const CertificateFiles&, const CertificateFiles&) = default;
};

struct LoadedCertificate {
  base::KeyPair pair;
  base::Validity validity;  // of the leaf
};

// Errors name the file and say what is wrong: NotFound, PermissionDenied; InvalidArgument: not PEM,
// the key is encrypted, or belongs to another certificate. One that has ended is no error here.
base::StatusOr<LoadedCertificate> LoadCertificate(const CertificateFiles& files);
// All or the first error.
base::StatusOr<std::vector<LoadedCertificate>> LoadCertificates(
    const std::vector<CertificateFiles>& files);

}  // namespace sluice::net
