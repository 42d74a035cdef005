#include "reconcilers/agents/ca.h"

#include <fmt/format.h>
#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <ctime>

#include "controller/base/digest.h"
#include "reconcilers/agents/limits.h"

namespace sluice::agents {
namespace {

using base::InvalidArgument;
using base::Status;
using base::StatusOr;
using base::WallTime;

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
using NumberPtr = std::unique_ptr<BIGNUM, Freer<BN_free>>;

constexpr std::string_view kUriSite = "spiffe://sluice.dev/site/";
constexpr std::string_view kUriNode = "/node/";

Status OpenSslError(std::string_view what) {
  const auto code = ERR_get_error();
  ERR_clear_error();
  const char* reason = code == 0 ? nullptr : ERR_reason_error_string(code);
  return InvalidArgument(fmt::format("{}: {}", what, reason ? reason : "refused"));
}

BioPtr Reader(const std::string& text) {
  return BioPtr(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

std::string Contents(BIO* bio) {
  char* data = nullptr;
  const auto size = BIO_get_mem_data(bio, &data);
  return {data, static_cast<std::size_t>(size)};
}

std::string ToPem(X509* certificate) {
  BioPtr out(BIO_new(BIO_s_mem()));
  SLUICE_CHECK(PEM_write_bio_X509(out.get(), certificate) == 1);
  return Contents(out.get());
}

std::string ToPem(EVP_PKEY* key) {
  BioPtr out(BIO_new(BIO_s_mem()));
  SLUICE_CHECK(PEM_write_bio_PrivateKey(out.get(), key, nullptr, nullptr, 0, nullptr, nullptr) ==
               1);
  return Contents(out.get());
}

WallTime ToWall(const ASN1_TIME* time) {
  std::tm parts{};
  SLUICE_CHECK(ASN1_TIME_to_tm(time, &parts) == 1);
  return std::chrono::system_clock::from_time_t(timegm(&parts));
}

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

StatusOr<CertPtr> ReadCertificate(const std::string& pem) {
  CertPtr certificate(PEM_read_bio_X509(Reader(pem).get(), nullptr, nullptr, nullptr));
  if (!certificate) return OpenSslError("not a PEM certificate");
  return certificate;
}

bool IsObjectName(std::string_view name) {
  return !name.empty() && name.size() <= 253 && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
  });
}

}  // namespace

std::string IdentityUri(const AgentIdentity& identity) {
  return fmt::format("{}{}{}{}", kUriSite, identity.site, kUriNode, identity.node);
}

StatusOr<AgentIdentity> ParseIdentityUri(std::string_view uri) {
  const auto refused =
      base::PermissionDenied(fmt::format("\"{}\" does not name an agent", uri.substr(0, 600)));
  if (!uri.starts_with(kUriSite)) return refused;
  const auto rest = uri.substr(kUriSite.size());
  const auto at = rest.find(kUriNode);
  if (at == std::string_view::npos) return refused;
  AgentIdentity identity{std::string(rest.substr(0, at)),
                         std::string(rest.substr(at + kUriNode.size()))};
  if (!IsObjectName(identity.site) || !IsObjectName(identity.node)) return refused;
  return identity;
}

StatusOr<WallTime> NotAfter(const std::string& certificate_pem) {
  SLUICE_ASSIGN_OR_RETURN(const CertPtr certificate, ReadCertificate(certificate_pem));
  return ToWall(X509_get0_notAfter(certificate.get()));
}

struct CertificateAuthority::Impl {
  CertPtr certificate;
  KeyPtr key;
  std::string certificate_pem;
  WallTime not_after;

  StatusOr<Certificate> Sign(CertPtr leaf, const std::string& usage,
                             const std::string& names) const;
  StatusOr<WallTime> EndOf(WallTime now, base::Duration life) const {
    if (now >= not_after) {
      return base::FailedPrecondition("the certificate authority has ended; renew its Secret");
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
  if (X509_sign(leaf.get(), key.get(), EVP_sha256()) == 0) return OpenSslError("signing");
  return Certificate{ToPem(leaf.get()), ToWall(X509_get0_notBefore(leaf.get())),
                     ToWall(X509_get0_notAfter(leaf.get()))};
}

StatusOr<KeyPair> CertificateAuthority::Create(const std::string& common_name, WallTime now,
                                               base::Duration life) {
  KeyPtr key(EVP_EC_gen("P-256"));
  if (!key) return OpenSslError("making a key");
  CertPtr self = Blank(common_name, key.get(), now - kCertificateBackdate,
                       now + std::chrono::duration_cast<WallTime::duration>(life));
  X509_set_issuer_name(self.get(), X509_get_subject_name(self.get()));
  AddExtension(self.get(), self.get(), NID_basic_constraints, "critical,CA:TRUE,pathlen:0");
  AddExtension(self.get(), self.get(), NID_key_usage, "critical,keyCertSign,cRLSign");
  AddExtension(self.get(), self.get(), NID_subject_key_identifier, "hash");
  if (X509_sign(self.get(), key.get(), EVP_sha256()) == 0) return OpenSslError("signing");
  return KeyPair{ToPem(self.get()), ToPem(key.get())};
}

StatusOr<CertificateAuthority> CertificateAuthority::Load(const KeyPair& pair) {
  auto impl = std::make_shared<Impl>();
  SLUICE_ASSIGN_OR_RETURN(impl->certificate, ReadCertificate(pair.certificate_pem));
  impl->key.reset(PEM_read_bio_PrivateKey(Reader(pair.key_pem).get(), nullptr, nullptr, nullptr));
  if (!impl->key) return OpenSslError("not a PEM private key");
  if (X509_check_private_key(impl->certificate.get(), impl->key.get()) != 1) {
    return OpenSslError("certificate and key do not belong together");
  }
  if (X509_check_ca(impl->certificate.get()) != 1) {
    return InvalidArgument("the certificate is not an authority's (basicConstraints CA:TRUE)");
  }
  impl->certificate_pem = pair.certificate_pem;
  impl->not_after = ToWall(X509_get0_notAfter(impl->certificate.get()));
  return CertificateAuthority(std::move(impl));
}

StatusOr<ServerCertificate> CertificateAuthority::IssueServer(
    const std::vector<std::string>& dns_names, WallTime now, base::Duration life) const {
  SLUICE_CHECK(!dns_names.empty());
  SLUICE_ASSIGN_OR_RETURN(const WallTime end, impl_->EndOf(now, life));
  KeyPtr key(EVP_EC_gen("P-256"));
  if (!key) return OpenSslError("making a key");
  std::string names;
  for (const auto& name : dns_names) names += (names.empty() ? "DNS:" : ",DNS:") + name;
  SLUICE_ASSIGN_OR_RETURN(auto certificate, impl_->Sign(Blank(dns_names.front(), key.get(),
                                                              now - kCertificateBackdate, end),
                                                        "serverAuth", names));
  return ServerCertificate{std::move(certificate), ToPem(key.get())};
}

StatusOr<Certificate> CertificateAuthority::SignAgent(const std::string& csr_pem,
                                                      const AgentIdentity& identity, WallTime now,
                                                      base::Duration life) const {
  if (!IsObjectName(identity.site) || !IsObjectName(identity.node)) {
    return InvalidArgument("site or node is not an object's name");
  }
  SLUICE_ASSIGN_OR_RETURN(const WallTime end, impl_->EndOf(now, life));
  RequestPtr request(PEM_read_bio_X509_REQ(Reader(csr_pem).get(), nullptr, nullptr, nullptr));
  if (!request) return OpenSslError("csr_pem is not a certificate request");
  EVP_PKEY* key = X509_REQ_get0_pubkey(request.get());
  if (key == nullptr || !IsStrongEnough(key)) {
    return InvalidArgument("csr_pem: use a key of P-256, P-384 or RSA of 2048 bits or more");
  }
  if (X509_REQ_verify(request.get(), key) != 1) {
    return OpenSslError("csr_pem is not signed by its own key");
  }
  return impl_->Sign(Blank(identity.node, key, now - kCertificateBackdate, end), "clientAuth",
                     "URI:" + IdentityUri(identity));
}

const std::string& CertificateAuthority::certificate_pem() const { return impl_->certificate_pem; }
WallTime CertificateAuthority::not_after() const { return impl_->not_after; }

std::string CertificateAuthority::DeriveKey(std::string_view purpose) const {
  const auto digest = base::HmacSha256(ToPem(impl_->key.get()), purpose);
  return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}

}  // namespace sluice::agents
