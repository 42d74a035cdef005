#include "api/crdgen/yaml_writer.h"

#include <algorithm>
#include <cctype>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

namespace sluice::crdgen {
namespace {

using json = nlohmann::ordered_json;

// Letters first, then only what starts no YAML construct; and no word that some reader takes for a
// boolean or null.
bool IsPlain(const std::string& text) {
  static const std::set<std::string> kWords = {"y",   "n",    "yes",   "no",  "on",
                                               "off", "true", "false", "null"};
  if (text.empty() || text.size() > 80 || std::isalpha(static_cast<unsigned char>(text[0])) == 0) {
    return false;
  }
  std::string lower = text;
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return kWords.count(lower) == 0 && std::all_of(text.begin(), text.end(), [](unsigned char c) {
           return std::isalnum(c) != 0 || c == '-' || c == '_' || c == '.' || c == '/';
         });
}

std::string Scalar(const json& value) {
  if (!value.is_string()) return value.dump();
  const std::string& text = value.get_ref<const std::string&>();
  return IsPlain(text) ? text : json(text).dump();
}

bool IsBlock(const json& value) { return value.is_structured() && !value.empty(); }

void Write(const json& value, const std::string& indent, bool first_is_placed, std::string* out) {
  bool placed = first_is_placed;  // the caller has written the first line's indent
  const auto start = [&] {
    if (!placed) *out += indent;
    placed = false;
  };
  if (value.is_object()) {
    for (const auto& [key, item] : value.items()) {
      start();
      *out += Scalar(json(key)) + ":";
      if (IsBlock(item)) {
        *out += "\n";
        Write(item, indent + "  ", false, out);
      } else {
        *out += " " + Scalar(item) + "\n";
      }
    }
    return;
  }
  for (const auto& item : value) {
    start();
    *out += "- ";
    if (IsBlock(item)) {
      Write(item, indent + "  ", true, out);
    } else {
      *out += Scalar(item) + "\n";
    }
  }
}

}  // namespace

std::string WriteYaml(const json& value) {
  if (!IsBlock(value)) return Scalar(value) + "\n";
  std::string out;
  Write(value, "", false, &out);
  return out;
}

}  // namespace sluice::crdgen
