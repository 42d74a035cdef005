// Any bytes as a file of OpenSLO documents: no crash; what is imported is exported, and imported
// again to the same objects.
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>

#include "controller/base/check.h"
#include "reconcilers/openslo/convert.h"
#include "reconcilers/openslo/document.h"

namespace {

sluice::openslo::Imported ImportOf(const std::vector<nlohmann::json>& documents) {
  std::vector<sluice::openslo::Document> named;
  for (const auto& each : documents) {
    named.push_back({"d", each.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)});
  }
  return sluice::openslo::Import(named, {.subject = "Site/s"});
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using nlohmann::json;
  const auto read = sluice::openslo::ReadYaml({reinterpret_cast<const char*>(data), size});
  if (!read.ok()) return 0;
  const auto imported = ImportOf(*read);
  SLUICE_CHECK(imported.problems.empty() || imported.objects.empty());
  if (imported.objects.empty()) return 0;
  std::vector<json> documents;
  for (const auto& each : sluice::openslo::Export(imported.objects).documents) {
    documents.push_back(json::parse(each));
  }
  const auto again = ImportOf(documents);
  if (!again.problems.empty()) return 0;  // grew over a bound
  SLUICE_CHECK(again.objects.size() == imported.objects.size());
  return 0;
}
