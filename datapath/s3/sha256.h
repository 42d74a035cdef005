// SHA-256 and HMAC-SHA-256 without allocation, and with the key's two blocks hashed beforehand.
//
// OpenSSL's one-shot calls fetch an algorithm and allocate a context each time, which costs more
// than hashing a request. Here its block functions (SHA-NI where the processor has it) are called
// on a state held by value. Figures: docs/adr/0030-sigv4-cost.md. Thread rule: values; one thread
// each.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "controller/base/digest.h"

namespace sluice::s3 {

class Sha256Hasher {
 public:
  Sha256Hasher();
  void Update(std::string_view bytes);
  base::Sha256Digest Finish();  // once
 private:
  friend class HmacKey;
  alignas(8) std::array<unsigned char, 112> state_;  // OpenSSL's SHA256_CTX
};

base::Sha256Digest FastSha256(std::string_view bytes);

// A key, ready to sign many messages.
class HmacKey {
 public:
  HmacKey() = default;  // signs nothing useful until assigned
  explicit HmacKey(std::string_view key);
  base::Sha256Digest Sign(std::string_view message) const;

 private:
  Sha256Hasher inner_;  // behind key ^ ipad
  Sha256Hasher outer_;  // behind key ^ opad
};

inline std::string_view View(const base::Sha256Digest& digest) {
  return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}
// Lower-case hex into a buffer; returns it as a view.
using HexDigest = std::array<char, 64>;
std::string_view ToHex(const base::Sha256Digest& digest, HexDigest* out);

inline constexpr std::string_view kEmptySha256 =
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

}  // namespace sluice::s3
