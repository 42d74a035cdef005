// Any bytes in any cutting: no crash, and the cutting never changes what is parsed.
#include <cstdint>
#include <string>

#include "controller/base/check.h"
#include "controller/http/response_parser.h"

namespace {

struct Parsed {
  bool ok = true;
  bool done = false;
  int status = 0;
  std::string body;
  friend bool operator==(const Parsed&, const Parsed&) = default;
};

Parsed Run(std::string_view bytes, std::size_t step) {
  sluice::http::ResponseParser parser(false);
  Parsed out;
  const auto sink = [&](std::string_view piece) {
    out.body += piece;
    return sluice::base::OkStatus();
  };
  while (!bytes.empty() && !parser.done()) {
    const auto used = parser.Feed(bytes.substr(0, step), sink);
    if (!used.ok()) {
      out.ok = false;
      out.body.clear();
      return out;
    }
    bytes.remove_prefix(*used);
  }
  out.done = parser.FeedEnd().ok();
  out.status = parser.status();
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const Parsed whole = Run(bytes, bytes.size() + 1);
  const Parsed cut = Run(bytes, 1 + data[0] % 7);
  SLUICE_CHECK(whole == cut);
  return 0;
}
