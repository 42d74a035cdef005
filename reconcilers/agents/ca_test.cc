#include "reconcilers/agents/ca.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

namespace sluice::agents {
namespace {

using std::chrono::hours;
using ::testing::HasSubstr;

const base::WallTime kNow = base::WallTime(std::chrono::seconds(1'800'000'000));

CertificateAuthority NewAuthority() {
  return *CertificateAuthority::Load(
      *CertificateAuthority::Create("sluice", kNow, hours(24 * 365)));
}

std::string Contents(BIO* bio) {
  char* data = nullptr;
  const auto size = BIO_get_mem_data(bio, &data);
  std::string text(data, static_cast<std::size_t>(size));
  BIO_free(bio);
  return text;
}

std::string Request(EVP_PKEY* key, EVP_PKEY* signer) {
  X509_REQ* request = X509_REQ_new();
  X509_REQ_set_pubkey(request, key);
  // What it asks to be is ignored.
  X509_NAME_add_entry_by_txt(X509_REQ_get_subject_name(request), "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>("admin"), -1, -1, 0);
  X509_REQ_sign(request, signer, EVP_sha256());
  BIO* out = BIO_new(BIO_s_mem());
  PEM_write_bio_X509_REQ(out, request);
  X509_REQ_free(request);
  return Contents(out);
}

X509* Parse(const std::string& pem) {
  BIO* in = BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()));
  X509* certificate = PEM_read_bio_X509(in, nullptr, nullptr, nullptr);
  BIO_free(in);
  return certificate;
}

TEST(Authority, NamesAnAgentByExactlyOneUriAndForExactlyTheAskedLife) {
  const auto authority = NewAuthority();
  EVP_PKEY* key = EVP_EC_gen("P-256");
  const auto signed_one =
      authority.SignAgent(Request(key, key), {"phoenix", "gpu-7"}, kNow, hours(1));
  ASSERT_TRUE(signed_one.ok()) << signed_one.status().ToString();
  EXPECT_EQ(signed_one->not_after, kNow + hours(1));
  EXPECT_EQ(*NotAfter(signed_one->certificate_pem), kNow + hours(1));

  X509* certificate = Parse(signed_one->certificate_pem);
  auto* names = static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr));
  ASSERT_EQ(sk_GENERAL_NAME_num(names), 1);
  const GENERAL_NAME* name = sk_GENERAL_NAME_value(names, 0);
  ASSERT_EQ(name->type, GEN_URI);
  const std::string uri(reinterpret_cast<const char*>(ASN1_STRING_get0_data(name->d.ia5)),
                        static_cast<std::size_t>(ASN1_STRING_length(name->d.ia5)));
  EXPECT_EQ(uri, "spiffe://sluice.dev/site/phoenix/node/gpu-7");
  EXPECT_EQ(*ParseIdentityUri(uri), (AgentIdentity{"phoenix", "gpu-7"}));
  EXPECT_EQ(X509_get_extension_flags(certificate) & EXFLAG_CA, 0u);
  EXPECT_EQ(X509_get_extended_key_usage(certificate), static_cast<unsigned>(XKU_SSL_CLIENT));
  GENERAL_NAMES_free(names);
  X509_free(certificate);
  EVP_PKEY_free(key);
}

TEST(Authority, RefusesRequestsThatProveNothing) {
  const auto authority = NewAuthority();
  EVP_PKEY* key = EVP_EC_gen("P-256");
  EVP_PKEY* other = EVP_EC_gen("P-256");
  EVP_PKEY* weak = EVP_RSA_gen(1024);
  const AgentIdentity who{"phoenix", "n1"};
  EXPECT_THAT(authority.SignAgent(Request(key, other), who, kNow, hours(1)).status().message(),
              HasSubstr("not signed by its own key"));
  EXPECT_THAT(authority.SignAgent(Request(weak, weak), who, kNow, hours(1)).status().message(),
              HasSubstr("use a key of P-256"));
  EXPECT_THAT(authority.SignAgent("hello", who, kNow, hours(1)).status().message(),
              HasSubstr("not a certificate request"));
  EXPECT_FALSE(authority.SignAgent(Request(key, key), {"a/b", "n1"}, kNow, hours(1)).ok());
  EXPECT_FALSE(authority.SignAgent(Request(key, key), {"a", "n,DNS:x"}, kNow, hours(1)).ok());
  EVP_PKEY_free(weak);
  EVP_PKEY_free(other);
  EVP_PKEY_free(key);
}

TEST(Identity, OnlyItsExactFormIsAnAgent) {
  for (const char* uri :
       {"", "spiffe://other.dev/site/a/node/b", "spiffe://sluice.dev/site/a", "http://a",
        "spiffe://sluice.dev/site//node/b", "spiffe://sluice.dev/site/a/node/",
        "spiffe://sluice.dev/site/a/node/b/c", "spiffe://sluice.dev/site/a/x/node/b",
        "spiffe://sluice.dev/site/A/node/b"}) {
    EXPECT_EQ(ParseIdentityUri(uri).status().code(), base::Code::kPermissionDenied) << uri;
  }
}

}  // namespace
}  // namespace sluice::agents
