// Any text: no crash; a selector that parses means the same after printing and parsing again.
#include <cstdint>

#include "controller/base/check.h"
#include "controller/meta/selector.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using sluice::meta::Selector;
  const auto selector = Selector::Parse({reinterpret_cast<const char*>(data), size});
  if (!selector.ok()) return 0;
  const auto again = Selector::Parse(selector->ToString());
  SLUICE_CHECK(again.ok() && *again == *selector);
  selector->Matches([](std::string_view) { return std::optional<std::string>("v"); });
  return 0;
}
