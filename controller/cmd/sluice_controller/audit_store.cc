#include "controller/cmd/sluice_controller/audit_store.h"

#include <nlohmann/json.hpp>

#include "controller/cmd/sluice_controller/epoch_store.h"

namespace sluice::controller_main {

using base::StatusOr;
using nlohmann::json;

StatusOr<std::optional<audit::CheckpointStore::Versioned>> ConfigMapCheckpointStore::Read() {
  const auto got = reader_.Get(ConfigMapResource(), key_);
  if (!got.ok()) {
    if (got.status().code() == base::Code::kNotFound) return std::optional<Versioned>();
    return got.status();
  }
  std::map<std::string, std::string> data;
  const json kept = (*got)->ToJson().value("data", json::object());
  for (const auto& [name, value] : kept.items()) {
    if (value.is_string()) data[name] = value.get<std::string>();
  }
  SLUICE_ASSIGN_OR_RETURN(auto checkpoint, audit::Decode(data));
  return std::optional(Versioned{std::move(checkpoint), std::string((*got)->resource_version())});
}

StatusOr<std::string> ConfigMapCheckpointStore::Write(const audit::Checkpoint& checkpoint,
                                                      const std::string& expected) {
  json object = {{"apiVersion", "v1"},
                 {"kind", "ConfigMap"},
                 {"metadata",
                  {{"namespace", key_.ns},
                   {"name", key_.name},
                   {"labels", {{"app.kubernetes.io/name", "sluice"}}},
                   {"annotations",
                    {{"sluice.dev/purpose",
                      "signed head of the audit log, written by the leader: do not edit or delete; "
                      "kubectl sluice audit verify reads it"}}}}},
                 {"data", audit::Encode(checkpoint)}};
  if (!expected.empty()) object["metadata"]["resourceVersion"] = expected;
  const auto written = expected.empty() ? writer_.Create(ConfigMapResource(), object)
                                        : writer_.Update(ConfigMapResource(), object);
  if (!written.ok()) {
    // Deleted meanwhile: for a compare-and-swap that is a lost race like any other.
    if (written.status().code() == base::Code::kNotFound && !expected.empty()) {
      return base::Aborted("the audit log's checkpoint was deleted").WithReason("Conflict");
    }
    return written.status();
  }
  return std::string((*written)->resource_version());
}

}  // namespace sluice::controller_main
