// Any bytes in any cutting through the line splitter into the decoder: no crash, and the cutting
// never changes the events.
#include <cstdint>
#include <string>
#include <vector>

#include "controller/base/check.h"
#include "controller/cache/watch_decoder.h"
#include "controller/client/line_splitter.h"

namespace {

std::vector<std::string> Run(std::string_view bytes, std::size_t step) {
  const sluice::meta::Resource resource{"g", "v1", "K", "ks", true};
  sluice::client::LineSplitter splitter(1 << 16);
  std::vector<std::string> out;
  for (std::size_t at = 0; at < bytes.size(); at += step) {
    const auto status = splitter.Feed(bytes.substr(at, step), [&](std::string_view line) {
      const auto event = sluice::cache::DecodeWatchLine(resource, line);
      out.push_back(!event.ok()                ? event.status().ToString()
                    : event->object != nullptr ? std::string(event->object->json())
                                               : event->resource_version);
      return true;
    });
    if (!status.ok()) break;
  }
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  SLUICE_CHECK(Run(bytes, bytes.size()) == Run(bytes, 1 + data[0] % 13));
  return 0;
}
