#include "controller/cmd/sluice_controller/epoch_store.h"

#include <nlohmann/json.hpp>

namespace sluice::controller_main {

using base::StatusOr;
using nlohmann::json;

const meta::Resource& ConfigMapResource() {
  static const meta::Resource resource{"", "v1", "ConfigMap", "configmaps", true};
  return resource;
}

StatusOr<agents::EpochStore::Versioned> ConfigMapEpochStore::FromObject(
    const meta::Object& object) {
  const json whole = object.ToJson();
  std::map<std::string, std::string> data;
  if (const auto found = whole.find("data"); found != whole.end() && found->is_object()) {
    for (const auto& [name, value] : found->items()) {
      if (value.is_string()) data[name] = value.get<std::string>();
    }
  }
  SLUICE_ASSIGN_OR_RETURN(auto record, agents::Decode(data));
  return Versioned{std::move(record), std::string(object.resource_version())};
}

StatusOr<std::optional<agents::EpochStore::Versioned>> ConfigMapEpochStore::Read() {
  const auto got = reader_.Get(ConfigMapResource(), key_);
  if (!got.ok()) {
    if (got.status().code() == base::Code::kNotFound) return std::optional<Versioned>();
    return got.status();
  }
  SLUICE_ASSIGN_OR_RETURN(auto versioned, FromObject(**got));
  return std::optional<Versioned>(std::move(versioned));
}

StatusOr<agents::EpochStore::Versioned> ConfigMapEpochStore::Write(
    const agents::EpochRecord& record, const std::string& expected_resource_version) {
  json object = {{"apiVersion", "v1"},
                 {"kind", "ConfigMap"},
                 {"metadata",
                  {{"namespace", key_.ns},
                   {"name", key_.name},
                   {"labels", {{"app.kubernetes.io/name", "sluice"}}},
                   {"annotations",
                    {{"sluice.dev/purpose",
                      "fencing record of the agents' configuration: do not edit or delete; after "
                      "a restore from backup start a new lineage"}}}}},
                 {"data", agents::Encode(record)}};
  if (!expected_resource_version.empty()) {
    object["metadata"]["resourceVersion"] = expected_resource_version;
  }
  auto written = expected_resource_version.empty() ? writer_.Create(ConfigMapResource(), object)
                                                   : writer_.Update(ConfigMapResource(), object);
  if (!written.ok()) {
    // Deleted meanwhile: for a compare-and-swap that is a lost race like any other.
    if (written.status().code() == base::Code::kNotFound && !expected_resource_version.empty()) {
      return base::Aborted("the fencing record was deleted").WithReason("Conflict");
    }
    return written.status();
  }
  return FromObject(**written);
}

}  // namespace sluice::controller_main
