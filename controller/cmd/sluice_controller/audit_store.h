// The audit log's checkpoint (reconcilers/audit/checkpoint.h) in a ConfigMap of its own.
//
// Thread rule: as CheckpointStore's. Errors: as it says.
#pragma once

#include <string>

#include "controller/client/config_map_record.h"
#include "reconcilers/audit/checkpoint.h"

namespace sluice::controller_main {

inline constexpr const char* kAuditHeadName = "sluice-audit-head";

class ConfigMapCheckpointStore final : public audit::CheckpointStore {
 public:
  ConfigMapCheckpointStore(client::Reader& reader, client::Writer& writer, std::string ns);

  base::StatusOr<std::optional<Versioned>> Read() override;
  base::StatusOr<std::string> Write(const audit::Checkpoint& checkpoint,
                                    const std::string& expected) override;

 private:
  client::ConfigMapRecord record_;
};

}  // namespace sluice::controller_main
