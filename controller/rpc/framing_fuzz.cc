// Any bytes as messages: the same whatever pieces they come in, never over the bound; and any text
// as a status's message or a timeout.
#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "controller/base/check.h"
#include "controller/rpc/framing.h"

namespace {

constexpr std::size_t kMost = 500;

std::vector<std::string> Messages(std::string_view bytes, std::size_t step, bool* ok) {
  sluice::rpc::MessageReader reader(kMost);
  std::vector<std::string> out;
  *ok = true;
  for (std::size_t at = 0; at < bytes.size() && *ok; at += step) {
    *ok = reader
              .Feed(bytes.substr(at, step),
                    [&](std::string_view message) {
                      SLUICE_CHECK(message.size() <= kMost);
                      out.emplace_back(message);
                    })
              .ok();
    SLUICE_CHECK(reader.held_bytes() <= 2 * (kMost + sluice::rpc::kPrefixBytes) + 32);
  }
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data + 1), size - 1);
  bool whole_ok = false, pieces_ok = false;
  const auto whole = Messages(bytes, std::max<std::size_t>(bytes.size(), 1), &whole_ok);
  const auto pieces = Messages(bytes, data[0] % 16 + 1U, &pieces_ok);
  SLUICE_CHECK(whole == pieces && whole_ok == pieces_ok);
  const std::string encoded = sluice::rpc::PercentEncode(bytes);
  SLUICE_CHECK(std::ranges::all_of(encoded, [](char c) { return c >= ' ' && c <= '~'; }));
  if (const auto timeout = sluice::rpc::ParseTimeout(bytes)) SLUICE_CHECK(timeout->count() >= 0);
  return 0;
}
