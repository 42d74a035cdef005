#include "datapath/s3/sign.h"

#include <gtest/gtest.h>

#include "datapath/s3/sigv4_verify.h"
#include "datapath/s3/uri.h"

namespace sluice::s3 {
namespace {

const base::WallTime kNow = *http1::ParseBasicDate("20130524T000000Z");
const OriginCredentials kCredentials{"AKIAIOSFODNN7EXAMPLE",
                                     "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "", "us-east-1"};

TEST(WriteSignedHead, MakesThePublishedSignature) {
  SigningKeyCache keys;
  char buffer[4096];
  const OutgoingHeader headers[] = {{"range", "bytes=0-9"}};
  const std::string_view head =
      WriteSignedHead({"GET", "examplebucket.s3.amazonaws.com", "/test.txt", "", headers,
                       kEmptySha256, std::nullopt},
                      kCredentials, kNow, &keys, buffer);
  EXPECT_NE(head.find("SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,Signature="
                      "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41\r\n"),
            std::string_view::npos)
      << head;
}

TEST(WriteSignedHead, VerifiesWithOurOwnVerifier) {
  SigningKeyCache keys;
  char buffer[8192];
  char path[256];
  QueryBuilder query;
  query.Add("prefix", "a b/\xc3\xa4+&=");
  query.Add("list-type", "2");
  query.AddRaw("continuation-token", "x%2by+z");
  const std::string built = query.Build();
  EXPECT_EQ(built, "continuation-token=x%2By%20z&list-type=2&prefix=a%20b%2F%C3%A4%2B%26%3D");
  const OutgoingHeader headers[] = {{"x-amz-meta-b", " two   blanks "}, {"if-match", "\"e\""}};
  OriginCredentials with_token = kCredentials;
  with_token.session_token = "token";
  const std::string_view head =
      WriteSignedHead({"PUT", "h:9000", *Encode("/b/k (1)*~", UriPart::kPath, path), built, headers,
                       kUnsignedPayload, 7},
                      with_token, kNow, &keys, buffer);
  http1::RequestParser parser;
  ASSERT_EQ(parser.Parse(head).state, http1::ParseState::kDone) << head;
  EXPECT_EQ(parser.request().content_length, 7u);
  Query parsed;
  Auth auth;
  ASSERT_FALSE(parsed.Parse(parser.request().query));
  ASSERT_FALSE(ParseAuth(parser.request(), parsed, &auth));
  const Error error = Verify(parser.request(), parsed, auth,
                             {kCredentials.secret_access_key, "token", "us-east-1"}, kNow, &keys);
  EXPECT_FALSE(error) << error.text();
}

TEST(WriteSignedHead, RefusesWhatDoesNotFitOrWouldSplitTheHead) {
  SigningKeyCache keys;
  char buffer[256];
  EXPECT_TRUE(
      WriteSignedHead({"GET", "h", "/k", "", {}}, kCredentials, kNow, &keys, buffer).empty());
  char large[4096];
  const OutgoingHeader evil[] = {{"x-amz-meta-a", "b\r\nhost: other"}};
  EXPECT_TRUE(
      WriteSignedHead({"GET", "h", "/k", "", evil}, kCredentials, kNow, &keys, large).empty());
}

}  // namespace
}  // namespace sluice::s3
