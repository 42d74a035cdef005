#include "datapath/s3/sigv4_verify.h"

#include <openssl/crypto.h>

#include <cstring>

#include "datapath/s3/uri.h"

namespace sluice::s3 {
namespace {

bool SameToken(const Auth& auth, std::string_view expected) {
  std::array<char, http1::kMaxHeadBytes> room;
  std::string_view sent = auth.session_token;
  if (auth.kind == AuthKind::kPresigned && !sent.empty()) {
    const auto decoded = Decode(sent, UriPart::kQuery, room);
    if (!decoded) return false;
    sent = *decoded;
  }
  return base::ConstantTimeEqual(sent, expected);
}

}  // namespace

Error CheckTime(const Auth& auth, base::WallTime now) {
  const auto skew = std::chrono::seconds(kMaxSkewSeconds);
  if (auth.kind == AuthKind::kPresigned) {
    if (auth.signed_at > now + skew) return {ErrorCode::kAccessDenied, "Request is not valid yet"};
    if (now > auth.signed_at + std::chrono::seconds(auth.expires_s))
      return {ErrorCode::kAccessDenied, "Request has expired"};
    return {};
  }
  if (auth.signed_at > now + skew || auth.signed_at < now - skew)
    return {ErrorCode::kRequestTimeTooSkewed, {}};
  return {};
}

std::string_view SignCanonicalHash(const SigningKey& key, std::string_view timestamp,
                                   std::string_view scope, const base::Sha256Digest& hash,
                                   HexDigest* out) {
  // Algorithm, timestamp, a scope no longer than a credential may be, and the hash.
  constexpr std::size_t kText = 64 + http1::kBasicDateBytes + kMaxCredentialBytes + 64;
  std::array<char, kText + kSha256PadBytes> text;
  std::size_t size = 0;
  const auto put = [&text, &size](std::string_view part) {
    SLUICE_CHECK(part.size() <= kText - size);
    std::memcpy(text.data() + size, part.data(), part.size());
    size += part.size();
  };
  HexDigest hex;
  put("AWS4-HMAC-SHA256\n");
  put(timestamp);
  put("\n");
  put(scope);
  put("\n");
  put(ToHex(hash, &hex));
  return ToHex(key.hmac.SignInPlace(text.data(), size), out);
}

Error Verify(const http1::Request& request, const Query& query, const Auth& auth,
             const Signer& signer, base::WallTime now, SigningKeyCache* keys) {
  if (auth.kind == AuthKind::kAnonymous) return {ErrorCode::kAccessDenied, {}};
  if (auth.region != signer.region || auth.scope.size() > kMaxCredentialBytes) {
    return {auth.kind == AuthKind::kPresigned ? ErrorCode::kAuthorizationQueryParametersError
                                              : ErrorCode::kAuthorizationHeaderMalformed,
            "The region in the credential scope is wrong."};
  }
  if (Error error = CheckTime(auth, now)) return error;
  if (!SameToken(auth, signer.session_token)) return {ErrorCode::kInvalidToken, {}};
  HashSink canonical;
  if (Error error = PutCanonicalRequest(request, query, auth, &canonical)) return error;
  const SigningKey& key = keys->Get(signer.secret_access_key, auth.date, signer.region);
  HexDigest expected;
  SignCanonicalHash(key, auth.timestamp_text(), auth.scope, canonical.Finish(), &expected);
  if (!SameDigits(expected, auth.signature)) return {ErrorCode::kSignatureDoesNotMatch, {}};
  return {};
}

}  // namespace sluice::s3
