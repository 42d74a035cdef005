// Signature Version 4 against the examples that AWS publishes, and the corners of its canonical
// form. Vectors: "Authenticating Requests: Using the Authorization Header" and "... Using Query
// Parameters", Amazon S3 API reference (access key AKIAIOSFODNN7EXAMPLE, 24 May 2013).
#include <gtest/gtest.h>

#include <string>

#include "datapath/s3/sigv4_verify.h"

namespace sluice::s3 {
namespace {

constexpr std::string_view kKeyId = "AKIAIOSFODNN7EXAMPLE";
constexpr std::string_view kSecret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
const Signer kSigner{kSecret, "", "us-east-1"};
const base::WallTime kNow = *http1::ParseBasicDate("20130524T000000Z");

// A request with everything that checking it needs; the text is kept alive.
struct Checked {
  explicit Checked(std::string head) : text(std::move(head)) {
    EXPECT_EQ(parser.Parse(text).state, http1::ParseState::kDone) << text;
    error = query.Parse(parser.request().query);
    if (!error) error = ParseAuth(parser.request(), query, &auth);
  }
  ErrorCode Verdict(base::WallTime now = kNow, const Signer& signer = kSigner) {
    if (error) return error.code;
    SigningKeyCache keys;
    return Verify(parser.request(), query, auth, signer, now, &keys).code;
  }
  std::string Canonical() {
    StringSink sink;
    const Error e = PutCanonicalRequest(parser.request(), query, auth, &sink);
    return e ? "!" + std::string(Describe(e.code).code) : sink.text();
  }
  std::string text;
  http1::RequestParser parser;
  Query query;
  Auth auth;
  Error error;
};

std::string Authorization(std::string_view headers, std::string_view signature) {
  return "Authorization: AWS4-HMAC-SHA256 Credential=" + std::string(kKeyId) +
         "/20130524/us-east-1/s3/aws4_request,SignedHeaders=" + std::string(headers) +
         ",Signature=" + std::string(signature) + "\r\n";
}

const std::string kEmptyHash = "x-amz-content-sha256: " + std::string(kEmptySha256) + "\r\n";
const std::string kDate = "x-amz-date: 20130524T000000Z\r\n";
const std::string kHost = "Host: examplebucket.s3.amazonaws.com\r\n";

TEST(SigV4, VerifiesTheGetExample) {
  Checked checked(
      "GET /test.txt HTTP/1.1\r\n" + kHost + "Range: bytes=0-9\r\n" + kEmptyHash + kDate +
      Authorization("host;range;x-amz-content-sha256;x-amz-date",
                    "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41") +
      "\r\n");
  EXPECT_EQ(checked.Verdict(), ErrorCode::kNone);
  EXPECT_EQ(checked.auth.access_key_id, kKeyId);
  EXPECT_EQ(checked.auth.payload, PayloadKind::kSigned);
}

TEST(SigV4, VerifiesThePutExample) {
  Checked checked(
      "PUT /test$file.text HTTP/1.1\r\n" + kHost + "Date: Fri, 24 May 2013 00:00:00 GMT\r\n" +
      kDate +
      "x-amz-storage-class: REDUCED_REDUNDANCY\r\nx-amz-content-sha256: "
      "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072\r\n" +
      Authorization("date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
                    "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd") +
      "\r\n");
  EXPECT_EQ(checked.Verdict(), ErrorCode::kNone);
}

TEST(SigV4, VerifiesTheLifecycleAndListExamples) {
  Checked lifecycle(
      "GET /?lifecycle HTTP/1.1\r\n" + kHost + kDate + kEmptyHash +
      Authorization("host;x-amz-content-sha256;x-amz-date",
                    "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543") +
      "\r\n");
  EXPECT_EQ(lifecycle.Verdict(), ErrorCode::kNone);
  Checked list("GET /?max-keys=2&prefix=J HTTP/1.1\r\n" + kHost + kDate + kEmptyHash +
               Authorization("host;x-amz-content-sha256;x-amz-date",
                             "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7") +
               "\r\n");
  EXPECT_EQ(list.Verdict(), ErrorCode::kNone);
}

const std::string kPresigned =
    "GET "
    "/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524"
    "%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&"
    "X-Amz-SignedHeaders=host&X-Amz-Signature="
    "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404 HTTP/1.1\r\n" +
    kHost + "\r\n";

TEST(SigV4, VerifiesThePresignedExampleUntilTheSecondItExpires) {
  using std::chrono::seconds;
  Checked checked(kPresigned);
  EXPECT_EQ(checked.auth.kind, AuthKind::kPresigned);
  EXPECT_EQ(checked.Verdict(), ErrorCode::kNone);
  EXPECT_EQ(checked.Verdict(kNow + seconds(86400)), ErrorCode::kNone);
  EXPECT_EQ(checked.Verdict(kNow + seconds(86401)), ErrorCode::kAccessDenied);
  EXPECT_EQ(checked.Verdict(kNow - seconds(15 * 60)), ErrorCode::kNone);
  EXPECT_EQ(checked.Verdict(kNow - seconds(15 * 60 + 1)), ErrorCode::kAccessDenied);
}

std::string SignedGet(const std::string& extra = "",
                      std::string_view signature =
                          "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41") {
  return "GET /test.txt HTTP/1.1\r\n" + kHost + "Range: bytes=0-9\r\n" + kEmptyHash + kDate +
         extra + Authorization("host;range;x-amz-content-sha256;x-amz-date", signature) + "\r\n";
}

TEST(SigV4, RefusesAClockFifteenMinutesAway) {
  using std::chrono::seconds;
  for (const int sign : {-1, 1}) {
    EXPECT_EQ(Checked(SignedGet()).Verdict(kNow + sign * seconds(900)), ErrorCode::kNone);
    EXPECT_EQ(Checked(SignedGet()).Verdict(kNow + sign * seconds(901)),
              ErrorCode::kRequestTimeTooSkewed);
  }
}

TEST(SigV4, RefusesAnythingChangedBehindTheSignature) {
  const std::string good = SignedGet();
  for (std::size_t i = good.find("Range: ") + 7; good[i] != '\r'; ++i) {
    std::string changed = good;
    changed[i] = changed[i] == '7' ? '8' : '7';
    EXPECT_EQ(Checked(changed).Verdict(), ErrorCode::kSignatureDoesNotMatch) << changed;
  }
  std::string path = good;
  path.replace(path.find("test.txt"), 8, "test.tx%20");
  EXPECT_EQ(Checked(path).Verdict(), ErrorCode::kSignatureDoesNotMatch);
  std::string other_method = good;
  other_method.replace(0, 3, "PUT");
  EXPECT_EQ(Checked(other_method).Verdict(), ErrorCode::kSignatureDoesNotMatch);
  EXPECT_EQ(Checked(SignedGet("", std::string(64, '0'))).Verdict(),
            ErrorCode::kSignatureDoesNotMatch);
  EXPECT_EQ(
      Checked(SignedGet("", "F0E8BDB87C964420E857BD35B5D6ED310BD44F0170ABA48DD91039C6036BDB41"))
          .Verdict(),
      ErrorCode::kSignatureDoesNotMatch);
}

TEST(SigV4, RefusesAnUnsignedAmzHeaderAndAllowsOthers) {
  EXPECT_EQ(Checked(SignedGet("x-amz-meta-a: b\r\n")).Verdict(), ErrorCode::kAccessDenied);
  EXPECT_EQ(Checked(SignedGet("X-AMZ-COPY-SOURCE: /b/k\r\n")).Verdict(), ErrorCode::kAccessDenied);
  EXPECT_EQ(Checked(SignedGet("User-Agent: x\r\n")).Verdict(), ErrorCode::kNone);
}

TEST(SigV4, RefusesTheWrongRegionTokenAndSecret) {
  EXPECT_EQ(Checked(SignedGet()).Verdict(kNow, {kSecret, "", "eu-west-1"}),
            ErrorCode::kAuthorizationHeaderMalformed);
  EXPECT_EQ(Checked(SignedGet()).Verdict(kNow, {kSecret, "token", "us-east-1"}),
            ErrorCode::kInvalidToken);
  EXPECT_EQ(Checked(SignedGet()).Verdict(kNow, {"other", "", "us-east-1"}),
            ErrorCode::kSignatureDoesNotMatch);
  EXPECT_EQ(Checked(SignedGet("x-amz-security-token: t\r\n")).Verdict(), ErrorCode::kInvalidToken);
}

TEST(SigV4, NamesWhatIsMalformed) {
  const auto with = [](const std::string& authorization) {
    return Checked("GET / HTTP/1.1\r\n" + kHost + kDate + kEmptyHash +
                   "Authorization: " + authorization + "\r\n\r\n")
        .Verdict();
  };
  const std::string hex(64, 'a');
  const std::string scope = "AK/20130524/us-east-1/s3/aws4_request";
  const std::string rest = ", SignedHeaders=host, Signature=" + hex;
  EXPECT_EQ(with("AWS4-HMAC-SHA256 Credential=" + scope + rest), ErrorCode::kAccessDenied);
  EXPECT_EQ(with("AWS AK:sig"), ErrorCode::kInvalidRequest);
  EXPECT_EQ(with("Bearer x"), ErrorCode::kInvalidArgument);
  EXPECT_EQ(with("AWS4-HMAC-SHA256"), ErrorCode::kInvalidArgument);
  EXPECT_EQ(with("AWS4-ECDSA-P256-SHA256 Credential=x"), ErrorCode::kNotImplemented);
  EXPECT_EQ(with("AWS4-HMAC-SHA256 Credential=AK/us-east-1/s3/aws4_request" + rest),
            ErrorCode::kAuthorizationHeaderMalformed);
  EXPECT_EQ(with("AWS4-HMAC-SHA256 Credential=/20130524/us-east-1/s3/aws4_request" + rest),
            ErrorCode::kAuthorizationHeaderMalformed);
  EXPECT_EQ(with("AWS4-HMAC-SHA256 Credential=AK/20130524/us-east-1/ec2/aws4_request" + rest),
            ErrorCode::kAuthorizationHeaderMalformed);
  EXPECT_EQ(with("AWS4-HMAC-SHA256 Credential=AK/20130524/us-east-1/s3/aws4" + rest),
            ErrorCode::kAuthorizationHeaderMalformed);
  EXPECT_EQ(with("AWS4-HMAC-SHA256 Credential=AK/20130525/us-east-1/s3/aws4_request" + rest),
            ErrorCode::kAuthorizationHeaderMalformed);
  EXPECT_EQ(with("AWS4-HMAC-SHA256 Credential=" + scope + rest + ", Signature=" + hex),
            ErrorCode::kAuthorizationHeaderMalformed);
  EXPECT_EQ(with("AWS4-HMAC-SHA256 Credential=" + scope + ", SignedHeaders=host"),
            ErrorCode::kAuthorizationHeaderMalformed);
  // The key id itself may hold slashes.
  Checked slashes("GET / HTTP/1.1\r\n" + kHost + kDate + kEmptyHash +
                  "Authorization: AWS4-HMAC-SHA256 Credential=a/b/" + scope + rest + "\r\n\r\n");
  EXPECT_EQ(slashes.auth.access_key_id, "a/b/AK");
}

TEST(SigV4, RefusesPresignedParametersThatAreMissingRepeatedOrOutOfBounds) {
  const auto with = [](const std::string& from, const std::string& to) {
    std::string text = kPresigned;
    text.replace(text.find(from), from.size(), to);
    return Checked(text).Verdict();
  };
  const auto kQueryError = ErrorCode::kAuthorizationQueryParametersError;
  EXPECT_EQ(with("X-Amz-Expires=86400", "X-Amz-Expires=0"), kQueryError);
  EXPECT_EQ(with("X-Amz-Expires=86400", "X-Amz-Expires=604801"), kQueryError);
  EXPECT_EQ(with("X-Amz-Expires=86400", "X-Amz-Expires=-1"), kQueryError);
  EXPECT_EQ(with("X-Amz-Expires=86400&", ""), kQueryError);
  EXPECT_EQ(with("&X-Amz-Expires=86400", "&X-Amz-Expires=86400&X-Amz-Expires=604800"), kQueryError);
  EXPECT_EQ(with("X-Amz-Algorithm=AWS4-HMAC-SHA256", "X-Amz-Algorithm=MD5"), kQueryError);
  EXPECT_EQ(with("X-Amz-Expires=86400", "X-Amz-Expires=86399"), ErrorCode::kSignatureDoesNotMatch);
  EXPECT_EQ(with("GET /test.txt?", "GET /test.txt?versionId=2&"),
            ErrorCode::kSignatureDoesNotMatch);
  EXPECT_EQ(with("Host: ", "Authorization: AWS4-HMAC-SHA256 x\r\nHost: "),
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(with("X-Amz-Signature=", "AWSAccessKeyId="), ErrorCode::kInvalidRequest);
}

std::string CanonicalOf(const std::string& target, const std::string& headers = "",
                        const std::string& names = "host;x-amz-content-sha256;x-amz-date") {
  return Checked("GET " + target + " HTTP/1.1\r\nHost: h\r\n" + kDate + kEmptyHash + headers +
                 Authorization(names, std::string(64, '0')) + "\r\n")
      .Canonical();
}
std::string Line(const std::string& text, int n) {
  std::size_t at = 0;
  while (n-- > 0) at = text.find('\n', at) + 1;
  return text.substr(at, text.find('\n', at) - at);
}

TEST(SigV4Canonical, KeepsThePathAsS3Does) {
  EXPECT_EQ(Line(CanonicalOf("/a//b/./../c/"), 1), "/a//b/./../c/");
  EXPECT_EQ(Line(CanonicalOf("/a%20b%7E%2f%2F+(c)*"), 1), "/a%20b~%2F%2F%2B%28c%29%2A");
  EXPECT_EQ(Line(CanonicalOf("/%c3%a4%25%41"), 1), "/%C3%A4%25A");
  EXPECT_EQ(CanonicalOf("/%zz"), "!InvalidURI");
  EXPECT_EQ(CanonicalOf("/%2"), "!InvalidURI");
}

TEST(SigV4Canonical, SortsAndEncodesTheQuery) {
  EXPECT_EQ(Line(CanonicalOf("/?b=2&a=1&a=0&c"), 2), "a=0&a=1&b=2&c=");
  EXPECT_EQ(Line(CanonicalOf("/?a-=1&a=2&A=3"), 2), "A=3&a=2&a-=1");  // by name, not by "a=2"
  EXPECT_EQ(Line(CanonicalOf("/?k=a+b%20c/d=e&&=x"), 2), "=x&k=a%20b%20c%2Fd%3De");
  EXPECT_EQ(Line(CanonicalOf("/?a=&b"), 2), "a=&b=");
  EXPECT_EQ(Line(CanonicalOf("/?%61=%7e"), 2), "a=~");
}

TEST(SigV4Canonical, FoldsHeaderValues) {
  const std::string text =
      CanonicalOf("/", "My-Header:   a   b \t c  \r\nMy-Header: d\r\nmy-empty:\r\n",
                  "host;my-empty;my-header;x-amz-content-sha256;x-amz-date");
  EXPECT_EQ(Line(text, 3), "host:h");
  EXPECT_EQ(Line(text, 4), "my-empty:");
  EXPECT_EQ(Line(text, 5), "my-header:a b c,d");
  EXPECT_EQ(Line(text, 8), "");
  EXPECT_EQ(Line(text, 9), "host;my-empty;my-header;x-amz-content-sha256;x-amz-date");
  EXPECT_EQ(Line(text, 10), std::string(kEmptySha256));
}

TEST(SigV4Canonical, HashesWhatItWouldWriteHoweverLong) {
  std::string query = "/?";
  for (int i = 0; i < 60; ++i) query += "p" + std::to_string(i) + "=" + std::string(200, '/') + "&";
  Checked checked("GET " + query + " HTTP/1.1\r\nHost: h\r\n" + kDate + kEmptyHash +
                  Authorization("host;x-amz-content-sha256;x-amz-date", std::string(64, '0')) +
                  "\r\n");
  HashSink sink;
  EXPECT_FALSE(PutCanonicalRequest(checked.parser.request(), checked.query, checked.auth, &sink));
  EXPECT_EQ(sink.Finish(), base::Sha256(checked.Canonical()));
}

TEST(SigningKeyCache, DerivesOncePerSecretDateAndRegion) {
  SigningKeyCache keys;
  const base::Sha256Digest first = keys.Get(kSecret, "20130524", "us-east-1").hmac.Sign("m");
  EXPECT_EQ(keys.Get(kSecret, "20130524", "us-east-1").hmac.Sign("m"), first);
  EXPECT_EQ(keys.derived(), 1u);
  EXPECT_NE(keys.Get(kSecret, "20130525", "us-east-1").hmac.Sign("m"), first);
  EXPECT_NE(keys.Get("rotated", "20130524", "us-east-1").hmac.Sign("m"), first);
  EXPECT_EQ(keys.derived(), 3u);
  for (int i = 0; i < 4000; ++i) keys.Get("secret" + std::to_string(i), "20130524", "us-east-1");
  EXPECT_EQ(keys.Get(kSecret, "20130524", "us-east-1").hmac.Sign("m"), first);
}

TEST(Sha256Hasher, AgreesWithTheOneShotFunctions) {
  for (std::size_t size : {0u, 1u, 63u, 64u, 65u, 200u, 5000u}) {
    const std::string text(size, 'x');
    EXPECT_EQ(FastSha256(text), base::Sha256(text));
    EXPECT_EQ(HmacKey(text).Sign("message"), base::HmacSha256(text, "message"));
  }
}

}  // namespace
}  // namespace sluice::s3
