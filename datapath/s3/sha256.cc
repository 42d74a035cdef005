#include "datapath/s3/sha256.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "controller/base/check.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

namespace sluice::s3 {
namespace {
static_assert(sizeof(SHA256_CTX) == 112 && alignof(SHA256_CTX) <= 8);
constexpr std::size_t kBlockBytes = 64;

std::uint32_t BigEndian(std::uint32_t value) {
  return std::endian::native == std::endian::little ? __builtin_bswap32(value) : value;
}

#ifdef __SSE2__
// Digits of 16 values below 16: '0' + n, and beyond 9 the letters that follow 39 places on.
__m128i Digits(__m128i nibbles) {
  const __m128i letters = _mm_cmpgt_epi8(nibbles, _mm_set1_epi8(9));
  const __m128i skip = _mm_and_si128(letters, _mm_set1_epi8('a' - '9' - 1));
  return _mm_add_epi8(_mm_add_epi8(nibbles, _mm_set1_epi8('0')), skip);
}
void HexOf16(const std::uint8_t* bytes, char* out) {
  const __m128i all = _mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes));
  const __m128i mask = _mm_set1_epi8(0x0f);
  const __m128i high = Digits(_mm_and_si128(_mm_srli_epi16(all, 4), mask));
  const __m128i low = Digits(_mm_and_si128(all, mask));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(out), _mm_unpacklo_epi8(high, low));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(out + 16), _mm_unpackhi_epi8(high, low));
}
#else
void HexOf16(const std::uint8_t* bytes, char* out) {
  for (std::size_t i = 0; i < 16; ++i) {
    out[2 * i] = "0123456789abcdef"[bytes[i] >> 4];
    out[2 * i + 1] = "0123456789abcdef"[bytes[i] & 15];
  }
}
#endif

SHA256_CTX* Context(std::array<unsigned char, 112>& state) {
  return reinterpret_cast<SHA256_CTX*>(state.data());
}
}  // namespace

Sha256Hasher::Sha256Hasher() { SHA256_Init(Context(state_)); }

void Sha256Hasher::Update(std::string_view bytes) {
  SHA256_Update(Context(state_), bytes.data(), bytes.size());
}

base::Sha256Digest Sha256Hasher::Finish() {
  base::Sha256Digest out;
  SHA256_Final(out.data(), Context(state_));
  return out;
}

base::Sha256Digest Sha256Hasher::FinishInPlace(char* tail, std::size_t size) {
  SHA256_CTX* const context = Context(state_);
  SLUICE_CHECK(context->num == 0);
  const std::uint64_t before = std::uint64_t{context->Nh} << 32 | context->Nl;  // bits
  const std::size_t padded = (size + 1 + 8 + kBlockBytes - 1) / kBlockBytes * kBlockBytes;
  tail[size] = static_cast<char>(0x80);
  std::memset(tail + size + 1, 0, padded - 8 - size - 1);
  const std::uint64_t bits = before + 8 * size;
  const std::uint32_t words[2] = {BigEndian(static_cast<std::uint32_t>(bits >> 32)),
                                  BigEndian(static_cast<std::uint32_t>(bits))};
  std::memcpy(tail + padded - 8, words, 8);
  SHA256_Update(context, tail, padded);  // whole blocks: nothing is kept back
  base::Sha256Digest out;
  for (std::size_t i = 0; i < 8; ++i) {
    const std::uint32_t word = BigEndian(context->h[i]);
    std::memcpy(out.data() + 4 * i, &word, 4);
  }
  return out;
}

base::Sha256Digest FastSha256(std::string_view bytes) {
  Sha256Hasher hasher;
  hasher.Update(bytes);
  return hasher.Finish();
}

HmacKey::HmacKey(std::string_view key) {
  std::array<char, 64> block{};
  if (key.size() > block.size()) {
    const base::Sha256Digest digest = FastSha256(key);
    std::memcpy(block.data(), digest.data(), digest.size());
  } else {
    std::copy(key.begin(), key.end(), block.begin());
  }
  std::array<char, 64> pad;
  for (std::size_t i = 0; i < pad.size(); ++i) pad[i] = static_cast<char>(block[i] ^ 0x36);
  inner_.Update({pad.data(), pad.size()});
  for (std::size_t i = 0; i < pad.size(); ++i) pad[i] = static_cast<char>(block[i] ^ 0x5c);
  outer_.Update({pad.data(), pad.size()});
  OPENSSL_cleanse(block.data(), block.size());
  OPENSSL_cleanse(pad.data(), pad.size());
}

base::Sha256Digest HmacKey::Sign(std::string_view message) const {
  std::array<char, 256 + kSha256PadBytes> room;
  if (message.size() <= room.size() - kSha256PadBytes) {
    if (!message.empty()) std::memcpy(room.data(), message.data(), message.size());
    return SignInPlace(room.data(), message.size());
  }
  Sha256Hasher inner = inner_;
  inner.Update(message);
  return Outer(inner.Finish());
}

base::Sha256Digest HmacKey::SignInPlace(char* message, std::size_t size) const {
  Sha256Hasher inner = inner_;
  return Outer(inner.FinishInPlace(message, size));
}

base::Sha256Digest HmacKey::Outer(const base::Sha256Digest& digest) const {
  std::array<char, 32 + kSha256PadBytes> room;
  std::memcpy(room.data(), digest.data(), digest.size());
  Sha256Hasher outer = outer_;
  return outer.FinishInPlace(room.data(), digest.size());
}

std::string_view ToHex(const base::Sha256Digest& digest, HexDigest* out) {
  HexOf16(digest.data(), out->data());
  HexOf16(digest.data() + 16, out->data() + 32);
  return {out->data(), out->size()};
}

bool SameDigits(const HexDigest& expected, std::string_view given) {
  if (given.size() != expected.size()) return false;
  std::uint64_t differ = 0;
  for (std::size_t i = 0; i < expected.size(); i += 8) {
    std::uint64_t left, right;
    std::memcpy(&left, expected.data() + i, 8);
    std::memcpy(&right, given.data() + i, 8);
    differ |= left ^ right;
  }
  // Folded without a branch on what the words hold.
  return CRYPTO_memcmp(&differ, "\0\0\0\0\0\0\0", 8) == 0;
}

}  // namespace sluice::s3
