// A signer seen before: what an Authorization header says in front of its signature, kept under its
// very bytes together with the derived key. A client signs a day's requests under one such text,
// and then nothing of it is read, looked up or derived again.
//
// Invariants:
//  1. A header belongs to a known signer only when every byte up to its 64 digits is the same.
//  2. What is a request's own is checked each time: date, skew, payload hash, signed headers,
//     signature. Nothing is remembered about a signature.
//  3. This is a short way to "yes" and no other answer: whatever is unusual is for Verify(), which
//     knows the errors.
//  4. It holds as long as the secret and the region do: its owner forgets it with its
//  configuration.
//
// Pure but for the value itself; one thread each.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>

#include "datapath/s3/sigv4_verify.h"

namespace sluice::s3 {

class KnownSigner {
 public:
  // From what Verify() has just accepted. Nothing when it is not of the common kind: in a header,
  // without a session token, signing headers that have an id (http1::HeaderId).
  static std::optional<KnownSigner> Make(std::string_view authorization, const Auth& auth,
                                         const SigningKey& key);
  KnownSigner(KnownSigner&&) = default;
  KnownSigner& operator=(KnownSigner&&) = default;
  ~KnownSigner();

  // Invariant 1.
  bool Wrote(std::string_view authorization) const {
    return authorization.size() == text_.size() + kDigits && authorization.starts_with(text_);
  }
  // Requires Wrote(the request's Authorization). True: the request is verified, `auth` is filled as
  // ParseAuth() would. False: ask ParseAuth() and Verify().
  bool Verify(const http1::Request& request, const Query& query, base::WallTime now, Auth* auth);

 private:
  static constexpr std::size_t kDigits = 64;
  static constexpr std::size_t kMaxNames = 12;
  struct Slice {
    std::size_t begin = 0;
    std::size_t size = 0;
  };
  KnownSigner() = default;
  bool ReadTime(std::string_view text, Auth* auth);

  std::string text_;  // up to and with "Signature="
  Slice access_key_id_, scope_, date_, region_, service_, signed_headers_;
  std::array<http1::HeaderId, kMaxNames> names_{};
  std::size_t name_count_ = 0;
  SigningKey key_;
  std::array<char, http1::kBasicDateBytes> last_timestamp_{};  // the last one read, and its time
  base::WallTime last_signed_at_{};
};

}  // namespace sluice::s3
