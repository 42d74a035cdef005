// Any text: no crash, no overflow; what parses says the same again once it is written and read.
#include <cstdint>
#include <string_view>

#include "controller/base/check.h"
#include "controller/base/time_format.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace sluice::base;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto time = ParseRfc3339(text); time.ok()) {
    const auto micros = std::chrono::floor<std::chrono::microseconds>(*time);
    const auto again = ParseRfc3339(FormatRfc3339Micro(*time));
    SLUICE_CHECK(again.ok() && *again == micros);
    const auto seconds = ParseRfc3339(FormatRfc3339(*time));
    SLUICE_CHECK(seconds.ok() && *seconds == std::chrono::floor<std::chrono::seconds>(*time));
  }
  if (const auto duration = ParseDuration(text); duration.ok()) {
    SLUICE_CHECK(duration->count() >= 0);
    const auto again = ParseDuration(FormatDuration(*duration));
    SLUICE_CHECK(again.ok() && *again == *duration);
    SLUICE_CHECK(!HumanDuration(*duration).empty());
  }
  return 0;
}
