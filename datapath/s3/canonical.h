// The canonical request of SigV4: the text both sides hash. Written into any sink with Put(view),
// so that verification hashes it as it is made and tests can look at it.
//
// S3's own rules: the path is decoded once and encoded again, never normalised ("//", "." and ".."
// stay); slashes of the path stay.
// Source: "Create a signed AWS API request", step 1. Pure; no allocation.
#pragma once

#include <array>
#include <bitset>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

#include "datapath/s3/sha256.h"
#include "datapath/s3/sigv4.h"

namespace sluice::s3 {

// Collects runs and hashes them in few calls: a usual request in one.
class HashSink {
 public:
  void Put(std::string_view text) {
    if (text.size() > kBufferBytes - size_) return PutLong(text);
    if (text.empty()) return;  // may be a null view
    std::memcpy(buffer_.data() + size_, text.data(), text.size());
    size_ += text.size();
  }
  base::Sha256Digest Finish() { return hasher_.FinishInPlace(buffer_.data(), size_); }

 private:
  static constexpr std::size_t kBufferBytes = 4096;
  void PutLong(std::string_view text);
  Sha256Hasher hasher_;
  std::size_t size_ = 0;
  std::array<char, kBufferBytes + kSha256PadBytes> buffer_;
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
// The same for a signer whose signed headers are `names`, in their order, host among them. False:
// this request is not of the usual form (a line repeats, is missing, or should have been signed).
// The request's date and payload hash must have been read (sigv4.h).
bool PutKnownRequest(const http1::Request& request, const Query& query, const Auth& auth,
                     std::span<const http1::HeaderId> names, HashSink* sink);

}  // namespace sluice::s3
