#include "controller/cmd/sluice_controller/epoch_store.h"

namespace sluice::controller_main {

using base::StatusOr;

ConfigMapEpochStore::ConfigMapEpochStore(client::Reader& reader, client::Writer& writer,
                                         std::string ns)
    : record_(reader, writer, {std::move(ns), kEpochName},
              "fencing record of the agents' configuration: do not edit or delete; after a "
              "restore from backup start a new lineage") {}

StatusOr<agents::EpochStore::Versioned> ConfigMapEpochStore::FromObject(
    const meta::Object& object) {
  SLUICE_ASSIGN_OR_RETURN(auto record, agents::Decode(client::ConfigMapData(object)));
  return Versioned{std::move(record), std::string(object.resource_version())};
}

StatusOr<std::optional<agents::EpochStore::Versioned>> ConfigMapEpochStore::Read() {
  SLUICE_ASSIGN_OR_RETURN(const meta::ObjectPtr kept, record_.Read());
  if (kept == nullptr) return std::optional<Versioned>();
  SLUICE_ASSIGN_OR_RETURN(auto versioned, FromObject(*kept));
  return std::optional<Versioned>(std::move(versioned));
}

StatusOr<agents::EpochStore::Versioned> ConfigMapEpochStore::Write(
    const agents::EpochRecord& record, const std::string& expected_resource_version) {
  SLUICE_ASSIGN_OR_RETURN(const meta::ObjectPtr written,
                          record_.Write(agents::Encode(record), expected_resource_version));
  return FromObject(*written);
}

}  // namespace sluice::controller_main
