#include "datapath/store/checksum.h"

#include <isa-l/crc.h>

#include <algorithm>

namespace sluice::store {

std::uint32_t Crc32c(std::string_view bytes, std::uint32_t previous) {
  // ISA-L takes an int length and leaves the inversion before and after to the caller.
  constexpr std::size_t kStep = 1u << 30;
  std::uint32_t crc = ~previous;
  while (!bytes.empty()) {
    const std::size_t take = std::min(bytes.size(), kStep);
    auto* data = reinterpret_cast<unsigned char*>(const_cast<char*>(bytes.data()));
    crc = crc32_iscsi(data, static_cast<int>(take), crc);
    bytes.remove_prefix(take);
  }
  return ~crc;
}

}  // namespace sluice::store
