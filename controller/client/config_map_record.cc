#include "controller/client/config_map_record.h"

#include <nlohmann/json.hpp>

namespace sluice::client {

using base::StatusOr;
using nlohmann::json;

const meta::Resource& ConfigMapResource() {
  static const meta::Resource resource{"", "v1", "ConfigMap", "configmaps", true};
  return resource;
}

std::map<std::string, std::string> ConfigMapData(const meta::Object& object) {
  std::map<std::string, std::string> out;
  const json data = object.ToJson().value("data", json());
  if (!data.is_object()) return out;
  for (const auto& [name, value] : data.items()) {
    if (value.is_string()) out[name] = value.get<std::string>();
  }
  return out;
}

StatusOr<meta::ObjectPtr> ConfigMapRecord::Read() {
  auto got = reader_.Get(ConfigMapResource(), key_);
  if (!got.ok() && got.status().code() == base::Code::kNotFound) return meta::ObjectPtr();
  return got;
}

StatusOr<meta::ObjectPtr> ConfigMapRecord::Write(const std::map<std::string, std::string>& data,
                                                 const std::string& expected) {
  json object = {{"apiVersion", "v1"},
                 {"kind", "ConfigMap"},
                 {"metadata",
                  {{"namespace", key_.ns},
                   {"name", key_.name},
                   {"labels", {{"app.kubernetes.io/name", "sluice"}}},
                   {"annotations", {{"sluice.dev/purpose", purpose_}}}}},
                 {"data", data}};
  if (!expected.empty()) object["metadata"]["resourceVersion"] = expected;
  auto written = expected.empty() ? writer_.Create(ConfigMapResource(), object)
                                  : writer_.Update(ConfigMapResource(), object);
  // Deleted meanwhile: for a compare-and-swap that is a lost race like any other.
  if (!written.ok() && written.status().code() == base::Code::kNotFound && !expected.empty()) {
    return base::Aborted("ConfigMap " + key_.name + " was deleted").WithReason("Conflict");
  }
  return written;
}

}  // namespace sluice::client
