// Any head: no crash, and what is taken keeps its promises.
#include <cstdint>
#include <string_view>

#include "controller/base/check.h"
#include "controller/http/control_bytes.h"
#include "controller/http/request_parser.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto head = sluice::http::ParseRequestHead(bytes);
  if (!head.ok()) return 0;
  SLUICE_CHECK(head->path.starts_with('/') && !head->method.empty());
  SLUICE_CHECK(!sluice::http::HasControl(head->path));
  for (const auto& list : {head->headers, head->query}) {
    for (const auto& each : list) {
      SLUICE_CHECK(!sluice::http::HasControl(each.name) && !sluice::http::HasControl(each.value));
    }
  }
  return 0;
}
