// Digests, keyed digests and text encodings of bytes (over OpenSSL). Pure; any thread.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "controller/base/status.h"

namespace sluice::base {

using Sha256Digest = std::array<std::uint8_t, 32>;

Sha256Digest Sha256(std::string_view bytes);
Sha256Digest HmacSha256(std::string_view key, std::string_view bytes);

std::string HexEncode(std::string_view bytes);  // lower case
template <std::size_t N>
std::string HexEncode(const std::array<std::uint8_t, N>& bytes) {
  return HexEncode(std::string_view(reinterpret_cast<const char*>(bytes.data()), N));
}
inline std::string Sha256Hex(std::string_view bytes) { return HexEncode(Sha256(bytes)); }

std::string Base64Encode(std::string_view bytes);
StatusOr<std::string> Base64Decode(std::string_view text);  // InvalidArgument when not base64

// Time does not depend on where the two differ; lengths are not secret.
bool ConstantTimeEqual(std::string_view a, std::string_view b);

}  // namespace sluice::base
