// Any bytes: what the scanner accepts nlohmann::json accepts, and cutting managedFields changes
// nothing else.
#include <cstdint>
#include <nlohmann/json.hpp>

#include "controller/base/check.h"
#include "controller/meta/object.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto object = sluice::meta::Object::Parse(text);
  if (!object.ok()) return 0;
  nlohmann::json whole = nlohmann::json::parse(text, nullptr, false);
  SLUICE_CHECK(!whole.is_discarded());
  const nlohmann::json kept = (*object)->ToJson();
  // Two members of one name are read differently by each library; servers never write them.
  if (text.find("managedFields") == text.rfind("managedFields")) {
    if (whole["metadata"].is_object()) whole["metadata"].erase("managedFields");
    SLUICE_CHECK(whole == kept || text.find('\\') != std::string_view::npos ||
                 kept["metadata"].contains("managedFields") ||
                 text.find("metadata") != text.rfind("metadata"));
  }
  (*object)->Label("a");
  (*object)->Annotation("a");
  (*object)->HasFinalizer("a");
  const auto again = sluice::meta::Object::Parse((*object)->json());
  SLUICE_CHECK(again.ok() && (*again)->name() == (*object)->name());
  return 0;
}
