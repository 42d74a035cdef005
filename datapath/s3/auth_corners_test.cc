// Every corner at which two readers of one request could disagree about what was signed: requests
// signed here by an independent hand (the canonical request is written out in each row, HMAC by
// controller/base), and taken; the form a naive signer would have made of them is refused.
#include <gtest/gtest.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "controller/base/digest.h"
#include "datapath/s3/sigv4_verify.h"

namespace sluice::s3 {
namespace {

constexpr std::string_view kCornerSecret = "corner-secret";
constexpr std::string_view kDay = "20261122";
const std::string kStamp = std::string(kDay) + "T101112Z";
const base::WallTime kSignedAt = *http1::ParseBasicDate(kStamp);

std::string AsText(const base::Sha256Digest& digest) {
  return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}

std::string SignatureOf(const std::string& canonical, const std::string& region = "us-east-1",
                        const std::string& service = "s3") {
  std::string key = "AWS4" + std::string(kCornerSecret);
  for (const std::string& part : {std::string(kDay), region, service, std::string("aws4_request")})
    key = AsText(base::HmacSha256(key, part));
  const std::string scope = std::string(kDay) + "/" + region + "/" + service + "/aws4_request";
  return base::HexEncode(base::HmacSha256(
      key, "AWS4-HMAC-SHA256\n" + kStamp + "\n" + scope + "\n" + base::Sha256Hex(canonical)));
}

ErrorCode Judge(const std::string& head, base::WallTime now = kSignedAt,
                std::string_view token = {}) {
  http1::RequestParser parser;
  const http1::ParseResult parsed = parser.Parse(head);
  if (parsed.state != http1::ParseState::kDone) return ErrorCode::kInvalidRequest;
  Query query;
  if (const Error error = query.Parse(parser.request().query)) return error.code;
  Auth auth;
  if (const Error error = ParseAuth(parser.request(), query, &auth)) return error.code;
  SigningKeyCache keys;
  return Verify(parser.request(), query, auth, {kCornerSecret, token, "us-east-1"}, now, &keys)
      .code;
}

struct Corner {
  const char* what;
  std::string target;   // as sent
  std::string headers;  // further lines, as sent
  std::string path;     // canonical
  std::string query;
  std::string header_lines;  // between host and x-amz-content-sha256, each with its newline
  std::string names;         // of these, each followed by ;
};

std::string CanonicalOfCorner(const Corner& c) {
  return "GET\n" + c.path + "\n" + c.query + "\nhost:data.lab:9000\n" + c.header_lines +
         "x-amz-content-sha256:UNSIGNED-PAYLOAD\nx-amz-date:" + kStamp + "\n\nhost;" + c.names +
         "x-amz-content-sha256;x-amz-date\nUNSIGNED-PAYLOAD";
}

std::string HeadOf(const Corner& c, const std::string& signature) {
  return "GET " + c.target + " HTTP/1.1\r\nHost: data.lab:9000\r\nx-amz-date: " + kStamp +
         "\r\nx-amz-content-sha256: UNSIGNED-PAYLOAD\r\n" + c.headers +
         "Authorization: AWS4-HMAC-SHA256 Credential=AK/" + std::string(kDay) +
         "/us-east-1/s3/aws4_request, SignedHeaders=host;" + c.names +
         "x-amz-content-sha256;x-amz-date, Signature=" + signature + "\r\n\r\n";
}

TEST(AuthCorners, WhatIsSignedIsWhatWasSentAndNotItsTidiedForm) {
  const auto path = [](const char* what, std::string sent, std::string canonical) {
    return Corner{what, std::move(sent), "", std::move(canonical), "", "", ""};
  };
  const auto query = [](const char* what, const std::string& sent, std::string canonical) {
    return Corner{what, "/b?" + sent, "", "/b", std::move(canonical), "", ""};
  };
  // Each with the form that must not be taken for it.
  const std::pair<Corner, Corner> rows[] = {
      {path("double slashes", "/b//k///l", "/b//k///l"), path("", "", "/b/k/l")},
      {path("dot segments", "/b/./x/../k", "/b/./x/../k"), path("", "", "/b/k")},
      {path("encoded dots", "/b/%2e%2E/k", "/b/../k"), path("", "", "/b/%2E%2E/k")},
      {path("an encoded slash", "/b/a%2fc", "/b/a%2Fc"), path("", "", "/b/a/c")},
      {path("a slash at the end", "/b/k/", "/b/k/"), path("", "", "/b/k")},
      {path("a plus in the path", "/b/a+c", "/b/a%2Bc"), path("", "", "/b/a%20c")},
      {path("needless escapes", "/b/%41%7e", "/b/A~"), path("", "", "/b/%41%7E")},
      {path("escaped twice", "/b/%2541", "/b/%2541"), path("", "", "/b/A")},
      {path("small hex", "/b/%c3%bc", "/b/%C3%BC"), path("", "", "/b/%c3%bc")},
      {path("marks", "/b/a!'()*", "/b/a%21%27%28%29%2A"), path("", "", "/b/a!'()*")},
      {query("no value", "acl", "acl="), query("", "", "acl")},
      {query("empty value", "prefix=&list-type=2", "list-type=2&prefix="),
       query("", "", "list-type=2")},
      {query("a key twice", "a=2&a=1&a=1", "a=1&a=1&a=2"), query("", "", "a=2&a=1&a=1")},
      {query("a key twice, one escaped", "%61=2&a=1", "a=1&a=2"), query("", "", "%61=2&a=1")},
      {query("sorted as bytes", "b=1&B=2&a=3", "B=2&a=3&b=1"), query("", "", "a=3&b=1&B=2")},
      {query("an escaped ampersand", "a=1%26b=2", "a=1%26b%3D2"), query("", "", "a=1&b=2")},
      {query("a slash", "prefix=x/y", "prefix=x%2Fy"), query("", "", "prefix=x/y")},
      {{"blanks in a value", "/b", "x-amz-meta-a:  x   y  \r\n", "/b", "", "x-amz-meta-a:x y\n",
        "x-amz-meta-a;"},
       {"", "", "", "/b", "", "x-amz-meta-a:  x   y  \n", "x-amz-meta-a;"}},
      {{"a header twice", "/b", "X-Amz-Meta-A: 1\r\nx-amz-meta-a: 2\r\n", "/b", "",
        "x-amz-meta-a:1,2\n", "x-amz-meta-a;"},
       {"", "", "", "/b", "", "x-amz-meta-a:1\n", "x-amz-meta-a;"}},
      {{"an empty header", "/b", "x-amz-meta-a:\r\n", "/b", "", "x-amz-meta-a:\n", "x-amz-meta-a;"},
       {"", "", "", "/b", "", "", ""}},
  };
  for (const auto& [right, naive] : rows) {
    EXPECT_EQ(Judge(HeadOf(right, SignatureOf(CanonicalOfCorner(right)))), ErrorCode::kNone)
        << right.what;
    EXPECT_EQ(Judge(HeadOf(right, SignatureOf(CanonicalOfCorner(naive)))),
              ErrorCode::kSignatureDoesNotMatch)
        << right.what;
  }
}

const Corner kPlain{"", "/b/k", "", "/b/k", "", "", ""};

TEST(AuthCorners, AFoldedHeaderIsNoRequestAtAll) {
  Corner folded = kPlain;
  folded.headers = "x-amz-meta-a: 1\r\n 2\r\n";
  folded.header_lines = "x-amz-meta-a:1 2\n";
  folded.names = "x-amz-meta-a;";
  EXPECT_EQ(Judge(HeadOf(folded, SignatureOf(CanonicalOfCorner(folded)))),
            ErrorCode::kInvalidRequest);
}

// Well signed, but for somewhere else.
TEST(AuthCorners, ASignatureForAnotherRegionOrServiceIsNoneForUs) {
  for (const auto& [region, service] :
       {std::pair("eu-west-1", "s3"), std::pair("us-east-1", "sts"), std::pair("", "s3")}) {
    std::string head = HeadOf(kPlain, SignatureOf(CanonicalOfCorner(kPlain), region, service));
    const std::string ours = "us-east-1/s3/";
    EXPECT_EQ(Judge(head), ErrorCode::kSignatureDoesNotMatch) << region << service;
    head.replace(head.find(ours), ours.size(), std::string(region) + "/" + service + "/");
    EXPECT_EQ(Judge(head), ErrorCode::kAuthorizationHeaderMalformed) << region << service;
  }
}

TEST(AuthCorners, TheClockMayBeAQuarterOfAnHourWrongAndNotASecondMore) {
  const std::string head = HeadOf(kPlain, SignatureOf(CanonicalOfCorner(kPlain)));
  using std::chrono::seconds;
  for (const int sign : {-1, 1}) {
    EXPECT_EQ(Judge(head, kSignedAt + sign * seconds(900)), ErrorCode::kNone);
    EXPECT_EQ(Judge(head, kSignedAt + sign * seconds(901)), ErrorCode::kRequestTimeTooSkewed);
  }
}

TEST(AuthCorners, ASecondDateTokenOrHashBesideTheSignedOneIsRefused) {
  const std::string signature = SignatureOf(CanonicalOfCorner(kPlain));
  for (const char* line :
       {"x-amz-date: 20261122T101112Z\r\n", "x-amz-content-sha256: UNSIGNED-PAYLOAD\r\n",
        "X-Amz-Security-Token: t\r\n", "x-amz-copy-source: /b/other\r\n"}) {
    Corner with = kPlain;
    with.headers = line;
    EXPECT_NE(Judge(HeadOf(with, signature)), ErrorCode::kNone) << line;
  }
}

TEST(AuthCorners, SignedHeadersMustNameTheHost) {
  for (const char* names :
       {"x-amz-content-sha256;x-amz-date", "Host;x-amz-content-sha256;x-amz-date",
        ";x-amz-content-sha256;x-amz-date"}) {
    std::string head = HeadOf(kPlain, std::string(64, 'a'));
    const std::string usual = "host;x-amz-content-sha256;x-amz-date";
    head.replace(head.find(usual), usual.size(), names);
    const ErrorCode code = Judge(head);
    EXPECT_TRUE(code == ErrorCode::kAccessDenied || code == ErrorCode::kSignatureDoesNotMatch)
        << names;
  }
}

std::string PresignedHead(const std::string& more, const std::string& scope,
                          const std::string& headers = "") {
  const std::string query = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AK%2F" + scope +
                            "&X-Amz-Date=" + kStamp + "&X-Amz-Expires=60" + more +
                            "&X-Amz-SignedHeaders=host";
  std::string region = "us-east-1", service = "s3";
  if (scope.find("eu-west-1") != std::string::npos) region = "eu-west-1";
  if (scope.find("sts") != std::string::npos) service = "sts";
  const std::string signature = SignatureOf(
      "GET\n/b/k\n" + query + "\nhost:data.lab\n\nhost\nUNSIGNED-PAYLOAD", region, service);
  return "GET /b/k?" + query + "&X-Amz-Signature=" + signature + " HTTP/1.1\r\nHost: data.lab\r\n" +
         headers + "\r\n";
}

TEST(AuthCorners, PresignedLinksForElsewhereExpiredOrWithMoreThanWasSigned) {
  const auto scope = [](const char* place) {
    return std::string(kDay) + "%2F" + place + "%2Faws4_request";
  };
  const auto kQueryError = ErrorCode::kAuthorizationQueryParametersError;
  const std::string good = PresignedHead("", scope("us-east-1%2Fs3"));
  EXPECT_EQ(Judge(good), ErrorCode::kNone);
  EXPECT_EQ(Judge(good, kSignedAt + std::chrono::seconds(60)), ErrorCode::kNone);
  EXPECT_EQ(Judge(good, kSignedAt + std::chrono::seconds(61)), ErrorCode::kAccessDenied);
  EXPECT_EQ(Judge(PresignedHead("", scope("eu-west-1%2Fs3"))), kQueryError);
  EXPECT_EQ(Judge(PresignedHead("", scope("us-east-1%2Fsts"))), kQueryError);
  EXPECT_EQ(Judge(PresignedHead("", "20261121%2Fus-east-1%2Fs3%2Faws4_request")), kQueryError);
  EXPECT_EQ(Judge(PresignedHead("&X-Amz-Security-Token=a%2Bb", scope("us-east-1%2Fs3")), kSignedAt,
                  "a+b"),
            ErrorCode::kNone);
  EXPECT_EQ(Judge(PresignedHead("&X-Amz-Security-Token=a%2Bb", scope("us-east-1%2Fs3")), kSignedAt,
                  "a b"),
            ErrorCode::kInvalidToken);
  EXPECT_EQ(Judge(PresignedHead("", scope("us-east-1%2Fs3"), "x-amz-copy-source: /b/other\r\n")),
            ErrorCode::kAccessDenied);
  std::string twice = good;  // one of them by another spelling
  twice.insert(twice.find(" HTTP/1.1"), "&X%2DAmz%2DSignature=" + std::string(64, '0'));
  EXPECT_EQ(Judge(twice), kQueryError);
  std::string added = good;
  added.insert(added.find(" HTTP/1.1"), "&versionId=3");
  EXPECT_EQ(Judge(added), ErrorCode::kSignatureDoesNotMatch);
}

// A sanitizer's own code does not take the same steps each time.
#ifdef SLUICE_SANITIZED
constexpr bool kInstrumented = true;
#else
constexpr bool kInstrumented = false;
#endif

// Instructions that a child needs to compare `given` with `expected`, step by step; 0: the system
// does not let us look.
long StepsToCompare(const HexDigest& expected, std::string_view given) {
  const pid_t child = ::fork();
  if (child == 0) {
    if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) ::_exit(2);
    ::raise(SIGSTOP);
    volatile bool same = SameDigits(expected, given);
    static_cast<void>(same);
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  long steps = 0;
  while (WIFSTOPPED(status)) {
    if (::ptrace(PTRACE_SINGLESTEP, child, nullptr, nullptr) != 0) {
      ::kill(child, SIGKILL);
      ::waitpid(child, &status, 0);
      return 0;
    }
    ::waitpid(child, &status, 0);
    ++steps;
  }
  return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? steps : 0;
}

TEST(AuthCorners, ComparingSignaturesTakesTheSameStepsWhereverTheyDiffer) {
  HexDigest expected;
  ToHex(base::Sha256("x"), &expected);
  const std::string right(expected.data(), expected.size());
  ASSERT_TRUE(SameDigits(expected, right));
  for (std::size_t i = 0; i < right.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string wrong = right;
      wrong[i] = static_cast<char>(wrong[i] ^ (1 << bit));
      EXPECT_FALSE(SameDigits(expected, wrong));
      EXPECT_FALSE(base::ConstantTimeEqual(right, wrong));
    }
  }
  if (kInstrumented) GTEST_SKIP() << "sanitized code is not what is shipped";
  const long steps = StepsToCompare(expected, right);
  if (steps == 0) GTEST_SKIP() << "this system lets nobody count another's steps";
  EXPECT_GT(steps, 30);
  for (const std::size_t at : {0u, 1u, 7u, 8u, 31u, 56u, 63u}) {
    std::string wrong = right;
    wrong[at] = static_cast<char>(wrong[at] ^ 1);
    EXPECT_EQ(StepsToCompare(expected, wrong), steps) << at;
  }
}

}  // namespace
}  // namespace sluice::s3
