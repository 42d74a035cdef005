#define OPENSSL_SUPPRESS_DEPRECATED  // the low-level calls: see sha256.h for why
#include "datapath/s3/sha256.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>

#include <algorithm>
#include <cstring>

namespace sluice::s3 {
namespace {
static_assert(sizeof(SHA256_CTX) == 112 && alignof(SHA256_CTX) <= 8);
// Both digits of every byte, side by side.
constexpr std::array<char, 512> kHexPairs = [] {
  std::array<char, 512> pairs{};
  for (std::size_t i = 0; i < 256; ++i) {
    pairs[2 * i] = "0123456789abcdef"[i >> 4];
    pairs[2 * i + 1] = "0123456789abcdef"[i & 15];
  }
  return pairs;
}();

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
  Sha256Hasher inner = inner_;
  inner.Update(message);
  const base::Sha256Digest digest = inner.Finish();
  Sha256Hasher outer = outer_;
  outer.Update(View(digest));
  return outer.Finish();
}

std::string_view ToHex(const base::Sha256Digest& digest, HexDigest* out) {
  for (std::size_t i = 0; i < digest.size(); ++i)
    std::memcpy(out->data() + 2 * i, kHexPairs.data() + 2 * digest[i], 2);
  return {out->data(), out->size()};
}

}  // namespace sluice::s3
