// Any bytes: what the scanner accepts nlohmann::json accepts, and cutting managedFields changes
// nothing else.
#include <cstdint>
#include <nlohmann/json.hpp>

#include "controller/base/check.h"
#include "controller/meta/json_scanner.h"
#include "controller/meta/object.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto object = sluice::meta::Object::Parse(text);
  if (!object.ok()) return 0;
  nlohmann::json whole = nlohmann::json::parse(text, nullptr, false);
  SLUICE_CHECK(!whole.is_discarded());
  const nlohmann::json kept = (*object)->ToJson();
  // Names written with escapes, or twice, are read differently by each library; servers do neither.
  const auto once = [&](std::string_view name) { return text.find(name) == text.rfind(name); };
  const bool plain = text.find('\\') == std::string_view::npos;
  if (plain && once("managedFields") && once("metadata")) {
    if (whole["metadata"].is_object()) whole["metadata"].erase("managedFields");
    SLUICE_CHECK(whole == kept);
  }
  SLUICE_CHECK((*object)->spec_json() == sluice::meta::FindMember((*object)->json(), "spec"));
  SLUICE_CHECK((*object)->status_json() == sluice::meta::FindMember((*object)->json(), "status"));
  (*object)->Label("a");
  (*object)->Annotation("a");
  (*object)->HasFinalizer("a");
  const auto again = sluice::meta::Object::Parse((*object)->json());
  SLUICE_CHECK(again.ok() && (*again)->name() == (*object)->name());
  return 0;
}
