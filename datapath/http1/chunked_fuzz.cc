// Chunked bodies: never a crash, never data outside the input, the same result byte by byte.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "datapath/http1/chunked.h"

using sluice::http1::ChunkedDecoder;

namespace {
std::string Run(std::string_view input, std::size_t step) {
  ChunkedDecoder decoder;
  std::string out;
  std::size_t have = 0;
  std::size_t at = 0;
  while (at < input.size()) {
    if (have == at) have = std::min(input.size(), have + step);
    const auto r = decoder.Decode(input.substr(at, have - at));
    at += r.consumed;
    if (at > have) std::abort();
    out += r.data;
    if (r.state == ChunkedDecoder::State::kError) return out + "!";
    if (r.state == ChunkedDecoder::State::kDone) return out + "." + std::to_string(at);
  }
  return out + "?";
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  if (Run(input, 1) != Run(input, size + 1)) std::abort();
  return 0;
}
