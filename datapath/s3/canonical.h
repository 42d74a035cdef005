// The canonical request of SigV4: the text both sides hash. Written into any sink with Put(view),
// so that verification hashes it as it is made and tests can look at it.
//
// S3's own rules: the path is decoded once and encoded again, never normalised ("//", "." and ".."
// stay); slashes of the path stay.
// Source: "Create a signed AWS API request", step 1. Pure; no allocation.
#pragma once

#include <bitset>
#include <string>
#include <string_view>

#include "datapath/s3/sha256.h"
#include "datapath/s3/sigv4.h"

namespace sluice::s3 {

// Collects runs and hashes them in few calls.
class HashSink {
 public:
  void Put(std::string_view text);
  base::Sha256Digest Finish();

 private:
  Sha256Hasher hasher_;
  std::size_t size_ = 0;
  std::array<char, 4096> buffer_;
};

class StringSink {
 public:
  void Put(std::string_view text) { text_ += text; }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

// A header's value in canonical form: runs of blanks become one. (The ends are trimmed already.)
void PutHeaderValue(std::string_view value, HashSink* sink);

// Errors: InvalidURI (a malformed escape), SignatureDoesNotMatch (a signed header is not there),
// AccessDenied (host or an x-amz-* header present but not signed).
Error PutCanonicalRequest(const http1::Request& request, const Query& query, const Auth& auth,
                          HashSink* sink);
Error PutCanonicalRequest(const http1::Request& request, const Query& query, const Auth& auth,
                          StringSink* sink);

}  // namespace sluice::s3
