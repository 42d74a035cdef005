#include "datapath/control/identity.h"

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <algorithm>
#include <memory>

namespace sluice::control {
namespace {

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

std::string Contents(BIO* bio) {
  char* data = nullptr;
  const auto size = BIO_get_mem_data(bio, &data);
  return {data, static_cast<std::size_t>(size)};
}

}  // namespace

base::StatusOr<KeyAndRequest> MakeRequest() {
  const auto failed = base::Internal("OpenSSL made no key or request");
  KeyPtr key(EVP_EC_gen("P-256"));
  RequestPtr request(X509_REQ_new());
  BioPtr key_out(BIO_new(BIO_s_mem()));
  BioPtr request_out(BIO_new(BIO_s_mem()));
  if (!key || !request || !key_out || !request_out) return failed;
  if (X509_REQ_set_version(request.get(), X509_REQ_VERSION_1) != 1 ||
      X509_REQ_set_pubkey(request.get(), key.get()) != 1 ||
      X509_REQ_sign(request.get(), key.get(), EVP_sha256()) == 0 ||
      PEM_write_bio_X509_REQ(request_out.get(), request.get()) != 1 ||
      PEM_write_bio_PrivateKey(key_out.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) !=
          1) {
    ERR_clear_error();
    return failed;
  }
  return KeyAndRequest{Contents(key_out.get()), Contents(request_out.get())};
}

bool Matches(const std::string& key_pem, const std::string& certificate_pem) {
  BioPtr key_in(BIO_new_mem_buf(key_pem.data(), static_cast<int>(key_pem.size())));
  BioPtr cert_in(BIO_new_mem_buf(certificate_pem.data(), static_cast<int>(certificate_pem.size())));
  KeyPtr key(PEM_read_bio_PrivateKey(key_in.get(), nullptr, nullptr, nullptr));
  CertPtr certificate(PEM_read_bio_X509(cert_in.get(), nullptr, nullptr, nullptr));
  const bool matches =
      key && certificate && X509_check_private_key(certificate.get(), key.get()) == 1;
  ERR_clear_error();
  return matches;
}

base::WallTime RenewAt(base::WallTime received, const Validity& validity) {
  const auto from = std::max(received, validity.not_before);
  if (from >= validity.not_after) return validity.not_after;
  return from + (validity.not_after - from) / 2;
}

}  // namespace sluice::control
