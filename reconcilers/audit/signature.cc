#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "controller/base/digest.h"
#include "controller/base/openssl.h"
#include "reconcilers/audit/checkpoint.h"

namespace sluice::audit {
namespace {

using base::openssl::DigestPtr;

const unsigned char* Bytes(const std::string& text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

}  // namespace

base::StatusOr<std::string> Sign(const std::string& key_pem, const std::string& text) {
  const auto key = base::openssl::ReadKey(key_pem);
  if (!key.ok()) return base::InvalidArgument("the signing key is not PEM");
  const DigestPtr context(EVP_MD_CTX_new());
  std::size_t size = 0;
  bool ok = EVP_DigestSignInit(context.get(), nullptr, EVP_sha256(), nullptr, key->get()) == 1 &&
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
  const auto certificates = base::openssl::ReadCertificates(certificates_pem);
  if (!certificates.ok()) return base::InvalidArgument("no PEM certificate");
  for (const auto& certificate : *certificates) {
    EVP_PKEY* key = X509_get0_pubkey(certificate.get());
    const DigestPtr context(EVP_MD_CTX_new());
    const bool fits =
        key != nullptr &&
        EVP_DigestVerifyInit(context.get(), nullptr, EVP_sha256(), nullptr, key) == 1 &&
        EVP_DigestVerify(context.get(), Bytes(bytes), bytes.size(), Bytes(text), text.size()) == 1;
    ERR_clear_error();
    if (fits) return base::OkStatus();
  }
  return base::PermissionDenied("the signature is not the authority's");
}

}  // namespace sluice::audit
