// CRC32C (Castagnoli) over ISA-L. Pure; any thread.
#pragma once

#include <cstdint>
#include <string_view>

namespace sluice::store {

// Continue with the previous result: Crc32c(b, Crc32c(a)) == Crc32c(a + b).
std::uint32_t Crc32c(std::string_view bytes, std::uint32_t previous = 0);

}  // namespace sluice::store
