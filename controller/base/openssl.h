// OpenSSL's objects with owners, and PEM texts to and from them: the one place that reads and
// writes PEM for the whole tree. Include only from .cc files; what others see is certificate.h and
// authority.h.
//
// An encrypted key is refused: nobody is there to be asked for its pass phrase. All functions leave
// OpenSSL's error queue of the thread empty. Thread rule: any thread.
#pragma once

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "controller/base/clock.h"
#include "controller/base/status.h"

namespace sluice::base::openssl {

template <auto kFree>
struct Freer {
  template <typename T>
  void operator()(T* object) const {
    kFree(object);
  }
};
using BioPtr = std::unique_ptr<BIO, Freer<BIO_free_all>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, Freer<EVP_PKEY_free>>;
using CertPtr = std::unique_ptr<X509, Freer<X509_free>>;
using RequestPtr = std::unique_ptr<X509_REQ, Freer<X509_REQ_free>>;
using DigestPtr = std::unique_ptr<EVP_MD_CTX, Freer<EVP_MD_CTX_free>>;

// InvalidArgument "what: OpenSSL's newest reason".
Status Error(std::string_view what);

// Errors of the readers: InvalidArgument "not a PEM …".
StatusOr<KeyPtr> ReadKey(const std::string& pem);
StatusOr<CertPtr> ReadCertificate(const std::string& pem);  // the first
// All there are, in order; at least one. One that cannot be read is an error that tells its place,
// never the end: a bundle cut there would distrust servers without a word. Blocks of other kinds
// are passed over.
StatusOr<std::vector<CertPtr>> ReadCertificates(const std::string& pem);
StatusOr<RequestPtr> ReadRequest(const std::string& pem);

std::string ToPem(X509* certificate);
std::string ToPem(EVP_PKEY* key);  // secret
std::string ToPem(X509_REQ* request);

WallTime ToWall(const ASN1_TIME* time);

}  // namespace sluice::base::openssl
