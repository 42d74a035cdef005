// RawSelectors and FillIn on arbitrary bytes: no crash, and what is found stands in the query.
#include <cstddef>
#include <cstdint>

#include "controller/base/check.h"
#include "reconcilers/gates/promql.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view query(reinterpret_cast<const char*>(data), size);
  const auto selectors = sluice::gates::RawSelectors(query);
  if (selectors.ok()) {
    for (const std::string& selector : *selectors) {
      SLUICE_CHECK(query.find(selector) != std::string_view::npos);
    }
  }
  const auto filled = sluice::gates::FillIn(query, {{"window", "5m"}, {"site", "a\"b"}});
  SLUICE_CHECK(filled.ok() || !filled.status().message().empty());
  return 0;
}
