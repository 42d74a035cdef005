// SHA-256 and HMAC-SHA-256 without allocation, and with the key's two blocks hashed beforehand.
//
// OpenSSL's one-shot calls fetch an algorithm and allocate a context each time, which costs more
// than hashing a request. Here its block functions (SHA-NI where the processor has it) are called
// on a state held by value. Figures: docs/adr/0030-sigv4-cost.md. Thread rule: values; one thread
// each.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "controller/base/digest.h"

namespace sluice::s3 {

// Room behind a message that is finished in place.
inline constexpr std::size_t kSha256PadBytes = 72;

class Sha256Hasher {
 public:
  Sha256Hasher();
  void Update(std::string_view bytes);
  base::Sha256Digest Finish();  // once
  // Finish() behind Update({tail, size}), a third cheaper: the padding is written behind the tail,
  // where kSha256PadBytes are free, and all goes to the block function in one call. What was given
  // to Update() before must have been whole blocks of 64 bytes.
  base::Sha256Digest FinishInPlace(char* tail, std::size_t size);

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
  // The same; kSha256PadBytes behind the message are free and are written to.
  base::Sha256Digest SignInPlace(char* message, std::size_t size) const;

 private:
  base::Sha256Digest Outer(const base::Sha256Digest& digest) const;
  Sha256Hasher inner_;  // behind key ^ ipad
  Sha256Hasher outer_;  // behind key ^ opad
};

inline std::string_view View(const base::Sha256Digest& digest) {
  return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}
// Lower-case hex into a buffer; returns it as a view.
using HexDigest = std::array<char, 64>;
std::string_view ToHex(const base::Sha256Digest& digest, HexDigest* out);
// Takes as long wherever the two differ.
bool SameDigits(const HexDigest& expected, std::string_view given);

inline constexpr std::string_view kEmptySha256 =
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

}  // namespace sluice::s3
