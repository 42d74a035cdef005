// The fencing record (reconcilers/agents/epoch.h) in a ConfigMap of its own.
//
// Thread rule: as the client's. Errors: as EpochStore says.
#pragma once

#include <string>

#include "controller/client/config_map_record.h"
#include "reconcilers/agents/epoch.h"

namespace sluice::controller_main {

inline constexpr const char* kEpochName = "sluice-agents-epoch";

using client::ConfigMapResource;

class ConfigMapEpochStore final : public agents::EpochStore {
 public:
  ConfigMapEpochStore(client::Reader& reader, client::Writer& writer, std::string ns);

  base::StatusOr<std::optional<Versioned>> Read() override;
  base::StatusOr<Versioned> Write(const agents::EpochRecord& record,
                                  const std::string& expected_resource_version) override;

  const meta::Key& key() const { return record_.key(); }
  // Errors: DataLoss naming the key.
  static base::StatusOr<Versioned> FromObject(const meta::Object& object);

 private:
  client::ConfigMapRecord record_;
};

}  // namespace sluice::controller_main
