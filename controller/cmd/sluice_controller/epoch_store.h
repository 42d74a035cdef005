// The fencing record (reconcilers/agents/epoch.h) in a ConfigMap of its own.
//
// Thread rule: as the client's. Errors: as EpochStore says.
#pragma once

#include <string>

#include "controller/client/client.h"
#include "reconcilers/agents/epoch.h"

namespace sluice::controller_main {

inline constexpr const char* kEpochName = "sluice-agents-epoch";

const meta::Resource& ConfigMapResource();

class ConfigMapEpochStore final : public agents::EpochStore {
 public:
  ConfigMapEpochStore(client::Reader& reader, client::Writer& writer, std::string ns)
      : reader_(reader), writer_(writer), key_{std::move(ns), kEpochName} {}

  base::StatusOr<std::optional<Versioned>> Read() override;
  base::StatusOr<Versioned> Write(const agents::EpochRecord& record,
                                  const std::string& expected_resource_version) override;

  const meta::Key& key() const { return key_; }
  // Errors: DataLoss naming the key.
  static base::StatusOr<Versioned> FromObject(const meta::Object& object);

 private:
  client::Reader& reader_;
  client::Writer& writer_;
  const meta::Key key_;
};

}  // namespace sluice::controller_main
