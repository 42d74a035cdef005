// Signatures made by botocore, the signer of boto3 and the AWS CLI, checked by ours: keys and
// queries of every kind, in headers and presigned, with and without a session token. The heads are
// written by testdata/make_botocore_heads.py.
#include <gtest/gtest.h>

#include "controller/base/file.h"
#include "datapath/s3/sigv4_verify.h"

namespace sluice::s3 {
namespace {

TEST(SigV4, AcceptsWhatBotocoreSigns) {
  const auto file = base::ReadFile("datapath/s3/testdata/botocore_heads.txt");
  ASSERT_TRUE(file.ok()) << file.status().ToString();
  const base::WallTime now = *http1::ParseBasicDate("20260115T120500Z");
  std::string_view rest = *file;
  SigningKeyCache keys;
  int headers = 0, presigned = 0, tokens = 0;
  while (!rest.empty()) {
    http1::RequestParser parser;
    const http1::ParseResult parsed = parser.Parse(rest);
    ASSERT_EQ(parsed.state, http1::ParseState::kDone) << rest.substr(0, 200);
    Query query;
    Auth auth;
    ASSERT_FALSE(query.Parse(parser.request().query));
    const Error claim = ParseAuth(parser.request(), query, &auth);
    ASSERT_FALSE(claim) << claim.text() << "\n" << rest.substr(0, parsed.consumed);
    const std::string_view token = auth.session_token.empty() ? "" : "token/with+signs==";
    const Signer signer{"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", token, "us-east-1"};
    const Error verdict = Verify(parser.request(), query, auth, signer, now, &keys);
    EXPECT_FALSE(verdict) << verdict.text() << "\n" << rest.substr(0, parsed.consumed);
    headers += auth.kind == AuthKind::kHeader;
    presigned += auth.kind == AuthKind::kPresigned;
    tokens += !token.empty();
    rest.remove_prefix(parsed.consumed);
  }
  EXPECT_GE(headers, 35);
  EXPECT_GE(presigned, 35);
  EXPECT_GE(tokens, 20);
}

}  // namespace
}  // namespace sluice::s3
