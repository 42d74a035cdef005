// What of a DataSource's connectionDetails may stand in an object that many can read.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "reconcilers/openslo/check.h"

namespace sluice::openslo {

using nlohmann::json;

namespace {

// A list of what is harmless, not of what looks like a secret: a name nobody thought of is left
// out.
constexpr std::array<std::string_view, 12> kHarmless = {
    "url",  "endpoint", "address", "host",         "port",     "region",
    "site", "project",  "org",     "organization", "database", "timeout"};

bool IsHarmless(std::string_view name) {
  return std::find(kHarmless.begin(), kHarmless.end(), name) != kHarmless.end();
}

// An address without user, password, query and fragment; the text itself where it has none.
std::string Bare(const std::string& text) {
  const std::size_t scheme = text.find("://");
  if (scheme == std::string::npos) return text;
  const std::size_t begin = scheme + 3;
  const std::string bare = text.substr(0, text.find_first_of("?#", begin));
  const std::size_t at = bare.substr(0, bare.find('/', begin)).rfind('@');
  return at == std::string::npos || at < begin ? bare : bare.substr(0, begin) + bare.substr(at + 1);
}

json HarmlessOf(const json& details, const std::string& field, Problems& warnings) {
  json kept = json::object();
  for (const auto& [name, value] : details.items()) {
    const std::string at = fmt::format("{}.{}", field, name);
    if (!IsHarmless(name) || value.is_object() || value.is_array()) {
      warnings.Add(at, "was left out: it may hold a secret");
    } else if (value.is_string() && Bare(value.get<std::string>()) != value.get<std::string>()) {
      kept[name] = Bare(value.get<std::string>());
      warnings.Add(at, "was kept without user, password and query: they may hold a secret");
    } else {
      kept[name] = value;
    }
  }
  return kept;
}

}  // namespace

json WithoutSecrets(const json& document, Problems& warnings) {
  if (Text(document, "kind") != "DataSource") return document;
  const json& details = At(At(document, "spec"), "connectionDetails");
  if (details.is_null()) return document;
  json out = document;
  json& kept = out["spec"]["connectionDetails"];
  const std::string field = "spec.connectionDetails";
  if (details.is_object()) {
    kept = HarmlessOf(details, field, warnings);
    return out;
  }
  // A list of such maps is another way to write it.
  kept = json::array();
  for (std::size_t i = 0; details.is_array() && i < details.size(); ++i) {
    const std::string at = fmt::format("{}[{}]", field, i);
    if (details[i].is_object()) {
      kept.push_back(HarmlessOf(details[i], at, warnings));
    } else {
      warnings.Add(at, "was left out: it may hold a secret");
    }
  }
  if (!details.is_array()) warnings.Add(field, "was left out: it may hold a secret");
  return out;
}

}  // namespace sluice::openslo
