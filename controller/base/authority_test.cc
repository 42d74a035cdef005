#include "controller/base/authority.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/pem.h>

#include "controller/base/openssl.h"

namespace sluice::base {
namespace {

using std::chrono::hours;
using ::testing::HasSubstr;

const WallTime kNow = WallTime(std::chrono::seconds(1'800'000'000));

CertificateAuthority NewAuthority(Duration life = hours(24 * 365)) {
  return *CertificateAuthority::Load(*CertificateAuthority::Create("one", kNow, life));
}

TEST(Authority, AServersCertificateIsGoodForExactlyItsNamesAndTime) {
  const auto authority = NewAuthority();
  const auto issued = authority.IssueServer({"a.ns.svc", "a"}, kNow, hours(2), {"127.0.0.1"});
  ASSERT_TRUE(issued.ok()) << issued.status().ToString();
  const std::string& pem = issued->certificate.certificate_pem;
  EXPECT_EQ(ValidityOf(pem)->not_before, kNow - kCertificateBackdate);
  EXPECT_EQ(*NotAfter(pem), kNow + hours(2));
  EXPECT_TRUE(KeyMatches(issued->key_pem, pem));
  EXPECT_TRUE(CertificateCovers(pem, {"a.ns.svc", "a"}, {"127.0.0.1"}));
  EXPECT_FALSE(CertificateCovers(pem, {"b.ns.svc"}, {}));
  EXPECT_FALSE(CertificateCovers(pem, {"a"}, {"127.0.0.2"}));
}

TEST(Authority, ANameThatWouldAddAnotherIsRefused) {
  const auto authority = NewAuthority();
  for (const char* name : {"", "a,DNS:b", "a b", "a\n"}) {
    EXPECT_EQ(authority.IssueServer({name}, kNow, hours(1)).status().code(), Code::kInvalidArgument)
        << name;
  }
  EXPECT_FALSE(authority.IssueServer({"a"}, kNow, hours(1), {"1.2.3.4,DNS:b"}).ok());
  EXPECT_FALSE(authority.IssueServer({}, kNow, hours(1)).ok());
}

TEST(Authority, KnowsWhatItSigned) {
  const auto one = NewAuthority();
  const auto two = NewAuthority();
  const auto issued = one.IssueServer({"a"}, kNow, hours(1));
  EXPECT_TRUE(one.Signed(issued->certificate.certificate_pem));
  EXPECT_FALSE(two.Signed(issued->certificate.certificate_pem)) << "the same name, another key";
  EXPECT_FALSE(one.Signed("nothing"));
}

TEST(Authority, LoadsOnlyAMatchingPairOfAnAuthority) {
  const auto one = *CertificateAuthority::Create("one", kNow, hours(1));
  const auto two = *CertificateAuthority::Create("two", kNow, hours(1));
  EXPECT_FALSE(CertificateAuthority::Load({one.certificate_pem, two.key_pem}).ok());
  EXPECT_FALSE(CertificateAuthority::Load({"", ""}).ok());
  const auto server = *CertificateAuthority::Load(one)->IssueServer({"x"}, kNow, hours(1));
  EXPECT_THAT(CertificateAuthority::Load({server.certificate.certificate_pem, server.key_pem})
                  .status()
                  .message(),
              HasSubstr("not an authority's"));
}

TEST(Authority, NothingItSignsOutlivesIt) {
  const auto authority = NewAuthority(hours(2));
  EXPECT_EQ(authority.IssueServer({"a"}, kNow, hours(24))->certificate.not_after,
            authority.not_after());
  EXPECT_EQ(authority.IssueServer({"a"}, kNow + hours(3), hours(1)).status().code(),
            Code::kFailedPrecondition);
}

TEST(Certificate, ARequestHoldsNoSecretAndMatchesNoCertificate) {
  const auto made = *MakeCertificateRequest();
  EXPECT_THAT(made.csr_pem, HasSubstr("BEGIN CERTIFICATE REQUEST"));
  EXPECT_THAT(made.csr_pem, ::testing::Not(HasSubstr("PRIVATE")));
  EXPECT_FALSE(KeyMatches(made.key_pem, made.csr_pem));
  EXPECT_FALSE(KeyMatches("", ""));
}

TEST(Pem, AKeyUnderAPassPhraseIsRefusedWithoutAskingForIt) {
  const openssl::KeyPtr key(EVP_EC_gen("P-256"));
  const openssl::BioPtr out(BIO_new(BIO_s_mem()));
  ASSERT_EQ(PEM_write_bio_PKCS8PrivateKey(out.get(), key.get(), EVP_aes_128_cbc(), "x", 1, nullptr,
                                          nullptr),
            1);
  char* data = nullptr;
  const auto size = BIO_get_mem_data(out.get(), &data);
  EXPECT_EQ(openssl::ReadKey(std::string(data, static_cast<std::size_t>(size))).status().code(),
            Code::kInvalidArgument);
}

TEST(Pem, ABundleIsReadWhole) {
  const auto one = *CertificateAuthority::Create("one", kNow, hours(1));
  const auto two = *CertificateAuthority::Create("two", kNow, hours(1));
  EXPECT_EQ(openssl::ReadCertificates(one.certificate_pem + two.certificate_pem)->size(), 2U);
  EXPECT_FALSE(openssl::ReadCertificates("hello").ok());
  EXPECT_EQ(openssl::ReadCertificates("# one\n" + one.certificate_pem + one.key_pem + "\n# two\n" +
                                      two.certificate_pem + "\n# end\n")
                ->size(),
            2U);
}

TEST(Pem, ABundleIsNotCutAtACertificateThatCannotBeRead) {
  const std::string one = CertificateAuthority::Create("one", kNow, hours(1))->certificate_pem;
  const std::string begin = "-----BEGIN CERTIFICATE-----\n";
  const std::string end = "-----END CERTIFICATE-----\n";
  for (const std::string& bad :
       {begin + "!!!!\n" + end, begin + "aGVsbG8=\n" + end, begin + "aGVsbG8=\n", begin,
        begin + end, one.substr(0, one.size() / 2) + "\n"}) {
    for (const std::string& after : {std::string(), one}) {
      const auto status = openssl::ReadCertificates(one + bad + after).status();
      EXPECT_EQ(status.code(), Code::kInvalidArgument) << bad;
      EXPECT_TRUE(status.message().starts_with("certificate 2 of the PEM text: "))
          << bad << status.message();
    }
  }
  EXPECT_TRUE(openssl::ReadCertificates(begin).status().message().starts_with("certificate 1 "));
  EXPECT_TRUE(openssl::ReadCertificates(one).ok()) << "nothing of it is left in the queue";
}

}  // namespace
}  // namespace sluice::base
