#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <memory>

#include "controller/base/digest.h"
#include "reconcilers/audit/checkpoint.h"

namespace sluice::audit {
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
using ContextPtr = std::unique_ptr<EVP_MD_CTX, Freer<EVP_MD_CTX_free>>;

BioPtr Reader(const std::string& text) {
  return BioPtr(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

const unsigned char* Bytes(const std::string& text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

}  // namespace

base::StatusOr<std::string> Sign(const std::string& key_pem, const std::string& text) {
  const BioPtr bio = Reader(key_pem);
  const KeyPtr key(PEM_read_bio_PrivateKey(bio.get(), nullptr, nullptr, nullptr));
  ERR_clear_error();
  if (key == nullptr) return base::InvalidArgument("the signing key is not PEM");
  const ContextPtr context(EVP_MD_CTX_new());
  std::size_t size = 0;
  bool ok = EVP_DigestSignInit(context.get(), nullptr, EVP_sha256(), nullptr, key.get()) == 1 &&
            EVP_DigestSign(context.get(), nullptr, &size, Bytes(text), text.size()) == 1;
  std::string out(size, '\0');
  ok = ok && EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(out.data()), &size,
                            Bytes(text), text.size()) == 1;
  ERR_clear_error();
  if (!ok) return base::InvalidArgument("the signing key cannot sign");
  out.resize(size);
  return base::Base64Encode(out);
}

base::Status CheckSignature(const std::string& certificates_pem, const std::string& text,
                            const std::string& signature) {
  SLUICE_ASSIGN_OR_RETURN(const std::string bytes, base::Base64Decode(signature));
  const BioPtr bio = Reader(certificates_pem);
  int certificates = 0;
  while (const CertPtr certificate{PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)}) {
    ++certificates;
    EVP_PKEY* key = X509_get0_pubkey(certificate.get());
    const ContextPtr context(EVP_MD_CTX_new());
    const bool fits =
        key != nullptr &&
        EVP_DigestVerifyInit(context.get(), nullptr, EVP_sha256(), nullptr, key) == 1 &&
        EVP_DigestVerify(context.get(), Bytes(bytes), bytes.size(), Bytes(text), text.size()) == 1;
    ERR_clear_error();
    if (fits) return base::OkStatus();
  }
  ERR_clear_error();
  if (certificates == 0) return base::InvalidArgument("no PEM certificate");
  return base::PermissionDenied("the signature is not the authority's");
}

}  // namespace sluice::audit
