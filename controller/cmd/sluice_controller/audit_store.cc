#include "controller/cmd/sluice_controller/audit_store.h"

namespace sluice::controller_main {

using base::StatusOr;

ConfigMapCheckpointStore::ConfigMapCheckpointStore(client::Reader& reader, client::Writer& writer,
                                                   std::string ns)
    : record_(reader, writer, {std::move(ns), kAuditHeadName},
              "signed head of the audit log, written by the leader: do not edit or delete; "
              "kubectl sluice audit verify reads it") {}

StatusOr<std::optional<audit::CheckpointStore::Versioned>> ConfigMapCheckpointStore::Read() {
  SLUICE_ASSIGN_OR_RETURN(const meta::ObjectPtr kept, record_.Read());
  if (kept == nullptr) return std::optional<Versioned>();
  SLUICE_ASSIGN_OR_RETURN(auto checkpoint, audit::Decode(client::ConfigMapData(*kept)));
  return std::optional(Versioned{std::move(checkpoint), std::string(kept->resource_version())});
}

StatusOr<std::string> ConfigMapCheckpointStore::Write(const audit::Checkpoint& checkpoint,
                                                      const std::string& expected) {
  SLUICE_ASSIGN_OR_RETURN(const meta::ObjectPtr written,
                          record_.Write(audit::Encode(checkpoint), expected));
  return std::string(written->resource_version());
}

}  // namespace sluice::controller_main
