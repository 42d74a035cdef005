// A signer seen before is told by its bytes, and nothing else about a request is taken on trust.
#include "datapath/s3/known_signer.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace sluice::s3 {
namespace {

const Signer kSigner{"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "", "us-east-1"};
const base::WallTime kNow = *http1::ParseBasicDate("20130524T000000Z");

struct Parts {
  std::string target = "/bucket/key%20one?x=1";
  std::string date = "20130524T000000Z";
  std::string hash = std::string(kEmptySha256);
  std::string host = "h";
  std::string more;  // header lines
  std::string names = "host;x-amz-content-sha256;x-amz-date";
  std::string secret = std::string(kSigner.secret_access_key);
};

// A request that is rightly signed for whatever `parts` say, by the long way.
struct Signed {
  explicit Signed(const Parts& parts) {
    const auto head = [&parts](std::string_view signature) {
      return "GET " + parts.target + " HTTP/1.1\r\nHost: " + parts.host +
             "\r\nx-amz-date: " + parts.date + "\r\nx-amz-content-sha256: " + parts.hash + "\r\n" +
             parts.more +
             "Authorization: AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/"
             "s3/aws4_request, SignedHeaders=" +
             parts.names + ", Signature=" + std::string(signature) + "\r\n\r\n";
    };
    Parse(head(std::string(64, '0')));
    EXPECT_FALSE(ParseAuth(parser.request(), Query(), &auth));
    HashSink sink;
    static_cast<void>(PutCanonicalRequest(parser.request(), query, auth, &sink));
    HexDigest hex;
    Parse(head(SignCanonicalHash(SigningKey(parts.secret, "20130524", "us-east-1"),
                                 auth.timestamp_text(), auth.scope, sink.Finish(), &hex)));
  }
  void Parse(std::string head) {
    text = std::move(head);
    parser.Reset();
    ASSERT_EQ(parser.Parse(text).state, http1::ParseState::kDone) << text;
    ASSERT_FALSE(query.Parse(parser.request().query));
  }
  std::string_view authorization() const {
    return parser.request().headers.Get(http1::HeaderId::kAuthorization);
  }
  // By the long way.
  ErrorCode Verdict(base::WallTime now = kNow) {
    Auth fresh;
    SigningKeyCache keys;
    if (const Error error = ParseAuth(parser.request(), query, &fresh)) return error.code;
    return Verify(parser.request(), query, fresh, kSigner, now, &keys).code;
  }
  bool Known(KnownSigner& signer, base::WallTime now = kNow) {
    Auth fresh;
    return signer.Wrote(authorization()) && signer.Verify(parser.request(), query, now, &fresh);
  }
  std::string text;
  http1::RequestParser parser;
  Query query;
  Auth auth;
};

std::optional<KnownSigner> Learn(Signed& from) {
  Auth auth;
  EXPECT_FALSE(ParseAuth(from.parser.request(), from.query, &auth));
  return KnownSigner::Make(from.authorization(), auth,
                           SigningKey(kSigner.secret_access_key, "20130524", "us-east-1"));
}

TEST(KnownSigner, TakesWhatTheLongWayTakesAndReadsTheSame) {
  Signed first{Parts()};
  ASSERT_EQ(first.Verdict(), ErrorCode::kNone);
  auto signer = Learn(first);
  ASSERT_TRUE(signer);
  for (const Parts& parts :
       {Parts(), Parts{.target = "/another/key"},
        Parts{.target = "/b/%7Ek?b=2&a=%2F&x-id=GetObject"}, Parts{.date = "20130524T000512Z"},
        Parts{.hash = "UNSIGNED-PAYLOAD"}, Parts{.host = "other:9000"},
        Parts{.more = "User-Agent: a  b\r\nAccept: *\r\n"}}) {
    Signed request(parts);
    ASSERT_EQ(request.Verdict(), ErrorCode::kNone) << request.text;
    Auth quick, slow;
    ASSERT_TRUE(signer->Wrote(request.authorization()));
    EXPECT_TRUE(signer->Verify(request.parser.request(), request.query, kNow, &quick))
        << request.text;
    ASSERT_FALSE(ParseAuth(request.parser.request(), request.query, &slow));
    EXPECT_EQ(quick.access_key_id, slow.access_key_id);
    EXPECT_EQ(quick.scope, slow.scope);
    EXPECT_EQ(quick.date, slow.date);
    EXPECT_EQ(quick.region, slow.region);
    EXPECT_EQ(quick.signed_headers, slow.signed_headers);
    EXPECT_EQ(quick.payload, slow.payload);
    EXPECT_EQ(quick.payload_hash, slow.payload_hash);
    EXPECT_EQ(quick.timestamp_text(), slow.timestamp_text());
    EXPECT_EQ(quick.signed_at, slow.signed_at);
  }
}

TEST(KnownSigner, EverySingleByteThatIsNotWhatWasSignedIsRefused) {
  Signed first{
      Parts{.more = "Range: bytes=0-9\r\n", .names = "host;range;x-amz-content-sha256;x-amz-date"}};
  auto signer = Learn(first);
  ASSERT_TRUE(signer);
  ASSERT_TRUE(first.Known(*signer));
  const std::string right = first.text;
  for (std::size_t i = 0; i < right.size(); ++i) {
    std::string wrong = right;
    wrong[i] = wrong[i] == '1' ? '2' : '1';
    Signed changed{Parts()};
    changed.text = wrong;
    changed.parser.Reset();
    if (changed.parser.Parse(changed.text).state != http1::ParseState::kDone) continue;
    if (changed.query.Parse(changed.parser.request().query)) continue;
    // The long way may find it right (a byte that no signature covers): never the other way round.
    if (changed.Known(*signer)) {
      EXPECT_EQ(changed.Verdict(), ErrorCode::kNone) << wrong;
    }
  }
}

TEST(KnownSigner, LeavesEveryUnusualRequestToTheLongWay) {
  Signed first{Parts()};
  auto signer = Learn(first);
  ASSERT_TRUE(signer);
  const base::WallTime late = kNow + std::chrono::minutes(16);
  EXPECT_FALSE(first.Known(*signer, late));
  EXPECT_EQ(first.Verdict(late), ErrorCode::kRequestTimeTooSkewed);
  Signed unsigned_header{Parts{.more = "x-amz-meta-a: b\r\n"}};
  EXPECT_FALSE(unsigned_header.Known(*signer));
  EXPECT_EQ(unsigned_header.Verdict(), ErrorCode::kAccessDenied);
  EXPECT_FALSE(Signed{Parts{.more = "x-amz-security-token: t\r\n"}}.Known(*signer));
  EXPECT_FALSE(Signed{Parts{.more = "x-amz-date: 20130524T000000Z\r\n"}}.Known(*signer));
  Signed other_secret{Parts{.secret = "other"}};
  EXPECT_FALSE(other_secret.Known(*signer));
  EXPECT_EQ(other_secret.Verdict(), ErrorCode::kSignatureDoesNotMatch);
  Signed presigned_too{Parts{.target = "/b/k?X-Amz-Algorithm=AWS4-HMAC-SHA256"}};
  EXPECT_FALSE(presigned_too.Known(*signer));
  EXPECT_EQ(presigned_too.Verdict(), ErrorCode::kInvalidArgument);
  Signed tomorrow{Parts()};
  std::string text = tomorrow.text;
  text.replace(text.find("20130524T"), 8, "20130525");
  tomorrow.Parse(text);
  EXPECT_FALSE(tomorrow.Known(*signer));
}

TEST(KnownSigner, OnlyTheCommonKindIsKept) {
  Signed other_header{
      Parts{.more = "my-header: a\r\n", .names = "host;my-header;x-amz-content-sha256;x-amz-date"}};
  ASSERT_EQ(other_header.Verdict(), ErrorCode::kNone);
  EXPECT_FALSE(Learn(other_header));
  Signed capital{Parts{.names = "host;x-amz-content-sha256;X-Amz-Date"}};
  EXPECT_FALSE(Learn(capital));
}

}  // namespace
}  // namespace sluice::s3
