// Verifies what sigv4.h read: scope, time, session token, signature.
//
//   Query query;  Auth auth;
//   if (Error e = query.Parse(request.query)) ...
//   if (Error e = ParseAuth(request, query, &auth)) ...
//   find the secret of auth.access_key_id, or answer kInvalidAccessKeyId
//   if (Error e = Verify(request, query, auth, {secret, token, region}, clock.Wall(), &keys)) ...
//
// Comparisons of secrets take constant time. Pure but for the key cache; no allocation when the
// derived key is cached. Thread rule: one thread per cache.
#pragma once

#include "datapath/s3/canonical.h"
#include "datapath/s3/signing_key.h"

namespace sluice::s3 {

struct Signer {  // views; never logged
  std::string_view secret_access_key;
  std::string_view session_token;  // empty: the client must send none
  std::string_view region;         // what requests must be signed for
};

// Errors, in S3's order: AuthorizationHeaderMalformed (region; answer with <Region>),
// RequestTimeTooSkewed or AccessDenied (expired, not yet valid), InvalidToken,
// SignatureDoesNotMatch, and those of PutCanonicalRequest.
Error Verify(const http1::Request& request, const Query& query, const Auth& auth,
             const Signer& signer, base::WallTime now, SigningKeyCache* keys);

// The parts, for callers that want one of them.
Error CheckTime(const Auth& auth, base::WallTime now);
// Signature over "AWS4-HMAC-SHA256\n" timestamp "\n" scope "\n" hex(hash).
std::string_view SignCanonicalHash(const SigningKey& key, std::string_view timestamp,
                                   std::string_view scope, const base::Sha256Digest& hash,
                                   HexDigest* out);

}  // namespace sluice::s3
