#include "controller/base/certificate.h"

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <algorithm>

#include "controller/base/openssl.h"

namespace sluice::base {

StatusOr<Validity> ValidityOf(const std::string& certificate_pem) {
  SLUICE_ASSIGN_OR_RETURN(const auto certificate, openssl::ReadCertificate(certificate_pem));
  return Validity{openssl::ToWall(X509_get0_notBefore(certificate.get())),
                  openssl::ToWall(X509_get0_notAfter(certificate.get()))};
}

StatusOr<WallTime> NotAfter(const std::string& certificate_pem) {
  SLUICE_ASSIGN_OR_RETURN(const Validity validity, ValidityOf(certificate_pem));
  return validity.not_after;
}

bool KeyMatches(const std::string& key_pem, const std::string& certificate_pem) {
  const auto key = openssl::ReadKey(key_pem);
  const auto certificate = openssl::ReadCertificate(certificate_pem);
  const bool matches =
      key.ok() && certificate.ok() && X509_check_private_key(certificate->get(), key->get()) == 1;
  ERR_clear_error();
  return matches;
}

bool CertificateCovers(const std::string& certificate_pem,
                       const std::vector<std::string>& dns_names,
                       const std::vector<std::string>& addresses) {
  const auto certificate = openssl::ReadCertificate(certificate_pem);
  if (!certificate.ok()) return false;
  X509* const read = certificate->get();
  return std::ranges::all_of(dns_names,
                             [&](const std::string& name) {
                               return X509_check_host(read, name.c_str(), name.size(), 0,
                                                      nullptr) == 1;
                             }) &&
         std::ranges::all_of(addresses, [&](const std::string& address) {
           return X509_check_ip_asc(read, address.c_str(), 0) == 1;
         });
}

StatusOr<KeyAndRequest> MakeCertificateRequest() {
  const openssl::KeyPtr key(EVP_EC_gen("P-256"));
  const openssl::RequestPtr request(X509_REQ_new());
  if (key == nullptr || request == nullptr ||
      X509_REQ_set_version(request.get(), X509_REQ_VERSION_1) != 1 ||
      X509_REQ_set_pubkey(request.get(), key.get()) != 1 ||
      X509_REQ_sign(request.get(), key.get(), EVP_sha256()) == 0) {
    ERR_clear_error();
    return Internal("OpenSSL made no key or request");
  }
  return KeyAndRequest{openssl::ToPem(key.get()), openssl::ToPem(request.get())};
}

}  // namespace sluice::base
