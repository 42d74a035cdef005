#include "reconcilers/openslo/document.h"

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include <exception>
#include <nlohmann/json.hpp>
#include <set>

#include "controller/base/yaml.h"
#include "reconcilers/gates/decimal.h"
#include "reconcilers/openslo/limits.h"

namespace sluice::openslo {

using nlohmann::json;

namespace {

class Reader {
 public:
  json Value(const YAML::Node& node, int depth) {
    if (depth > kMaxDepth) throw std::length_error("nested too deeply");
    if (++values_ > kMaxValues) throw std::length_error("too many values");
    if (node.IsMap()) {
      json out = json::object();
      for (const auto& entry : node) {
        const YAML::Node& key = entry.first;
        if (!key.IsScalar()) throw std::invalid_argument("a key that is not text");
        if (out.contains(key.Scalar())) {
          throw std::invalid_argument(fmt::format("key \"{}\" twice", key.Scalar()));
        }
        out[key.Scalar()] = Value(entry.second, depth + 1);
      }
      return out;
    }
    if (node.IsSequence()) {
      json out = json::array();
      for (const YAML::Node& each : node) out.push_back(Value(each, depth + 1));
      return out;
    }
    if (!node.IsScalar()) return nullptr;
    const std::string& text = node.Scalar();
    const bool plain = node.Tag() == "?";
    if (plain && (text == "true" || text == "false")) return text == "true";
    return text;
  }

 private:
  std::size_t values_ = 0;
};

const std::set<std::string>& NumberFields() {
  static const std::set<std::string> fields = {"target", "targetPercent", "timeSliceTarget",
                                               "value",  "threshold",     "compositeWeight"};
  return fields;
}

void Write(YAML::Emitter& out, const std::string& key, const json& value) {
  if (value.is_object()) {
    out << YAML::BeginMap;
    for (const auto& [name, each] : value.items()) {
      out << YAML::Key << YAML::DoubleQuoted << name << YAML::Value;
      Write(out, name, each);
    }
    out << YAML::EndMap;
  } else if (value.is_array()) {
    out << YAML::BeginSeq;
    for (const json& each : value) Write(out, key, each);
    out << YAML::EndSeq;
  } else if (value.is_boolean()) {
    out << (value.get<bool>() ? "true" : "false");
  } else if (value.is_string()) {
    const auto text = value.get<std::string>();
    if (NumberFields().count(key) != 0 && gates::Decimal::Parse(text).ok()) {
      out << text;
    } else {
      out << YAML::DoubleQuoted << text;
    }
  } else {
    out << YAML::Null;
  }
}

}  // namespace

base::StatusOr<std::vector<json>> ReadYaml(const std::string& text) {
  if (text.size() > kMaxBytes) return base::InvalidArgument("the file is too large");
  try {
    std::vector<json> out;
    Reader reader;
    SLUICE_RETURN_IF_ERROR(base::CheckYamlEnd(text, base::YamlDocuments::kMany));
    for (const YAML::Node& node : YAML::LoadAll(text)) {
      if (node.IsNull() || !node.IsDefined()) continue;
      json value = reader.Value(node, 0);
      // A list is as many documents: the specification's own examples are written so.
      if (!value.is_array()) value = json::array({std::move(value)});
      for (json& each : value) out.push_back(std::move(each));
      if (out.size() > kMaxDocuments) return base::InvalidArgument("too many documents");
    }
    return out;
  } catch (const std::exception& e) {
    return base::InvalidArgument(std::string("not YAML: ") + e.what());
  }
}

std::string WriteYaml(const std::vector<json>& documents) {
  std::string out;
  for (const json& document : documents) {
    YAML::Emitter emitter;
    Write(emitter, "", document);
    out += "---\n" + std::string(emitter.c_str()) + "\n";
  }
  return out;
}

}  // namespace sluice::openslo
