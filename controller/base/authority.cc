#include "controller/base/authority.h"

#include <fmt/format.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <ctime>

#include "controller/base/digest.h"
#include "controller/base/openssl.h"

namespace sluice::base {
namespace {

using openssl::CertPtr;
using openssl::KeyPtr;
using NumberPtr = std::unique_ptr<BIGNUM, openssl::Freer<BN_free>>;

// X.509 counts whole seconds: the end is rounded up so that a life is never shorter than asked.
std::time_t Seconds(WallTime time) {
  return std::chrono::ceil<std::chrono::seconds>(time.time_since_epoch()).count();
}

void AddExtension(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
  SLUICE_CHECK(extension != nullptr);
  SLUICE_CHECK(X509_add_ext(certificate, extension, -1) == 1);
  X509_EXTENSION_free(extension);
}

void SetSerial(X509* certificate) {
  NumberPtr number(BN_new());
  SLUICE_CHECK(BN_rand(number.get(), 127, BN_RAND_TOP_ANY, BN_RAND_BOTTOM_ANY) == 1);
  SLUICE_CHECK(BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate)) != nullptr);
}

// X509_NAME fields hold 64 bytes; a longer name is in the SAN in whole.
void SetCommonName(X509_NAME* name, const std::string& text) {
  const auto cut = text.substr(0, 64);
  SLUICE_CHECK(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
                                          reinterpret_cast<const unsigned char*>(cut.data()),
                                          static_cast<int>(cut.size()), -1, 0) == 1);
}

CertPtr Blank(const std::string& common_name, EVP_PKEY* key, WallTime not_before,
              WallTime not_after) {
  CertPtr certificate(X509_new());
  SLUICE_CHECK(certificate && X509_set_version(certificate.get(), X509_VERSION_3) == 1);
  SetSerial(certificate.get());
  SetCommonName(X509_get_subject_name(certificate.get()), common_name);
  ASN1_TIME_set(X509_getm_notBefore(certificate.get()), Seconds(not_before));
  ASN1_TIME_set(X509_getm_notAfter(certificate.get()), Seconds(not_after));
  SLUICE_CHECK(X509_set_pubkey(certificate.get(), key) == 1);
  return certificate;
}

bool IsStrongEnough(EVP_PKEY* key) {
  if (EVP_PKEY_is_a(key, "RSA")) return EVP_PKEY_get_bits(key) >= 2048;
  if (!EVP_PKEY_is_a(key, "EC")) return false;
  char group[64] = {};
  std::size_t length = 0;
  if (EVP_PKEY_get_group_name(key, group, sizeof(group), &length) != 1) return false;
  const std::string_view name(group, length);
  return name == "prime256v1" || name == "secp384r1";
}

// What may stand in a name of the extension's text: it is cut at commas and colons.
bool IsPlainName(const std::string& name) {
  return !name.empty() && name.size() <= 253 && std::ranges::all_of(name, [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '-' || c == '.' || c == '*';
  });
}

bool IsPlainAddress(const std::string& address) {
  const std::unique_ptr<ASN1_OCTET_STRING, openssl::Freer<ASN1_OCTET_STRING_free>> parsed(
      a2i_IPADDRESS(address.c_str()));
  ERR_clear_error();
  return parsed != nullptr;
}

StatusOr<std::string> AltNames(const std::vector<std::string>& dns_names,
                               const std::vector<std::string>& addresses) {
  std::string out;
  for (const auto& name : dns_names) {
    if (!IsPlainName(name)) return InvalidArgument("\"" + name + "\" is no DNS name");
    out += (out.empty() ? "DNS:" : ",DNS:") + name;
  }
  for (const auto& address : addresses) {
    if (!IsPlainAddress(address)) return InvalidArgument("\"" + address + "\" is no address");
    out += (out.empty() ? "IP:" : ",IP:") + address;
  }
  if (out.empty()) return InvalidArgument("a server's certificate needs a name");
  return out;
}

}  // namespace

struct CertificateAuthority::Impl {
  CertPtr certificate;
  KeyPtr key;
  std::string certificate_pem;
  WallTime not_after;

  StatusOr<Certificate> Sign(CertPtr leaf, const std::string& usage,
                             const std::string& names) const;
  StatusOr<WallTime> EndOf(WallTime now, Duration life) const {
    if (now >= not_after) {
      return FailedPrecondition("the certificate authority has ended; renew its Secret");
    }
    return std::min(not_after, now + std::chrono::duration_cast<WallTime::duration>(life));
  }
};

StatusOr<Certificate> CertificateAuthority::Impl::Sign(CertPtr leaf, const std::string& usage,
                                                       const std::string& names) const {
  X509_set_issuer_name(leaf.get(), X509_get_subject_name(certificate.get()));
  AddExtension(leaf.get(), certificate.get(), NID_basic_constraints, "critical,CA:FALSE");
  AddExtension(leaf.get(), certificate.get(), NID_key_usage, "critical,digitalSignature");
  AddExtension(leaf.get(), certificate.get(), NID_ext_key_usage, usage);
  AddExtension(leaf.get(), certificate.get(), NID_authority_key_identifier, "keyid");
  AddExtension(leaf.get(), certificate.get(), NID_subject_alt_name, names);
  if (X509_sign(leaf.get(), key.get(), EVP_sha256()) == 0) return openssl::Error("signing");
  return Certificate{openssl::ToPem(leaf.get()), openssl::ToWall(X509_get0_notBefore(leaf.get())),
                     openssl::ToWall(X509_get0_notAfter(leaf.get()))};
}

StatusOr<KeyPair> CertificateAuthority::Create(const std::string& common_name, WallTime now,
                                               Duration life) {
  KeyPtr key(EVP_EC_gen("P-256"));
  if (!key) return openssl::Error("making a key");
  CertPtr self = Blank(common_name, key.get(), now - kCertificateBackdate,
                       now + std::chrono::duration_cast<WallTime::duration>(life));
  X509_set_issuer_name(self.get(), X509_get_subject_name(self.get()));
  AddExtension(self.get(), self.get(), NID_basic_constraints, "critical,CA:TRUE,pathlen:0");
  AddExtension(self.get(), self.get(), NID_key_usage, "critical,keyCertSign,cRLSign");
  AddExtension(self.get(), self.get(), NID_subject_key_identifier, "hash");
  if (X509_sign(self.get(), key.get(), EVP_sha256()) == 0) return openssl::Error("signing");
  return KeyPair{openssl::ToPem(self.get()), openssl::ToPem(key.get())};
}

StatusOr<CertificateAuthority> CertificateAuthority::Load(const KeyPair& pair) {
  auto impl = std::make_shared<Impl>();
  SLUICE_ASSIGN_OR_RETURN(impl->certificate, openssl::ReadCertificate(pair.certificate_pem));
  SLUICE_ASSIGN_OR_RETURN(impl->key, openssl::ReadKey(pair.key_pem));
  if (X509_check_private_key(impl->certificate.get(), impl->key.get()) != 1) {
    return openssl::Error("certificate and key do not belong together");
  }
  if (X509_check_ca(impl->certificate.get()) != 1) {
    return InvalidArgument("the certificate is not an authority's (basicConstraints CA:TRUE)");
  }
  impl->certificate_pem = pair.certificate_pem;
  impl->not_after = openssl::ToWall(X509_get0_notAfter(impl->certificate.get()));
  return CertificateAuthority(std::move(impl));
}

StatusOr<ServerCertificate> CertificateAuthority::IssueServer(
    const std::vector<std::string>& dns_names, WallTime now, Duration life,
    const std::vector<std::string>& addresses) const {
  SLUICE_ASSIGN_OR_RETURN(const std::string names, AltNames(dns_names, addresses));
  SLUICE_ASSIGN_OR_RETURN(const WallTime end, impl_->EndOf(now, life));
  KeyPtr key(EVP_EC_gen("P-256"));
  if (!key) return openssl::Error("making a key");
  const std::string& subject = dns_names.empty() ? addresses.front() : dns_names.front();
  SLUICE_ASSIGN_OR_RETURN(
      auto certificate,
      impl_->Sign(Blank(subject, key.get(), now - kCertificateBackdate, end), "serverAuth", names));
  return ServerCertificate{std::move(certificate), openssl::ToPem(key.get())};
}

StatusOr<Certificate> CertificateAuthority::SignClient(const std::string& csr_pem,
                                                       const std::string& subject,
                                                       const std::string& uri, WallTime now,
                                                       Duration life) const {
  SLUICE_CHECK(uri.find_first_of(",\n") == std::string::npos);
  SLUICE_ASSIGN_OR_RETURN(const WallTime end, impl_->EndOf(now, life));
  const auto request = openssl::ReadRequest(csr_pem);
  if (!request.ok()) return InvalidArgument("csr_pem is not a certificate request");
  EVP_PKEY* key = X509_REQ_get0_pubkey(request->get());
  if (key == nullptr || !IsStrongEnough(key)) {
    return InvalidArgument("csr_pem: use a key of P-256, P-384 or RSA of 2048 bits or more");
  }
  if (X509_REQ_verify(request->get(), key) != 1) {
    return openssl::Error("csr_pem is not signed by its own key");
  }
  return impl_->Sign(Blank(subject, key, now - kCertificateBackdate, end), "clientAuth",
                     "URI:" + uri);
}

const std::string& CertificateAuthority::certificate_pem() const { return impl_->certificate_pem; }
WallTime CertificateAuthority::not_after() const { return impl_->not_after; }

bool CertificateAuthority::Signed(const std::string& certificate_pem) const {
  const auto certificate = openssl::ReadCertificate(certificate_pem);
  const bool ours = certificate.ok() && X509_verify(certificate->get(), impl_->key.get()) == 1;
  ERR_clear_error();
  return ours;
}

std::string CertificateAuthority::DeriveKey(std::string_view purpose) const {
  const auto digest = HmacSha256(openssl::ToPem(impl_->key.get()), purpose);
  return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}

}  // namespace sluice::base
