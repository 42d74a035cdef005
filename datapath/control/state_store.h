// Internal to this folder: what an agent keeps across restarts.
//
//   STATE/configuration   the last good configuration with its order, no secrets       (disk)
//   STATE/fence           the highest order ever seen                                   (disk)
//   SECRETS/credentials.VERSION   what that configuration refers to, mode 0600          (tmpfs)
//   SECRETS/identity.key, identity.certificate   the agent's own, mode 0600             (tmpfs)
//
// Invariants:
//  1. Each file is replaced atomically and carries a SHA-256 of itself; a torn or foreign file
//  reads
//     as DataLoss, never as content.
//  2. Credentials are written before the configuration that refers to them and removed after
//  nothing
//     does: at every instant the configuration on disk finds its own, or (after a reboot) none.
//  3. No secret is ever written below STATE.
//
// Thread rule: one thread at a time.
#pragma once

#include <optional>
#include <string>

#include "controller/base/status.h"
#include "datapath/control/config.h"

namespace sluice::agent::v1 {
class Configuration;
class Identity;
}  // namespace sluice::agent::v1

namespace sluice::control {

class StateStore {
 public:
  StateStore(std::string state_dir, std::string secrets_dir)
      : state_dir_(std::move(state_dir)), secrets_dir_(std::move(secrets_dir)) {}

  // Makes the directories (mode 0700). Errors: InvalidArgument naming the directory.
  base::Status Open();

  base::Status SaveConfiguration(const agent::v1::Configuration& message);
  // The last good configuration, with its credentials.
  // Errors: NotFound (none yet); FailedPrecondition (credentials gone: the node was rebooted);
  // DataLoss.
  base::Status LoadConfiguration(agent::v1::Configuration& message) const;

  base::Status SaveFence(const Order& fence);
  base::StatusOr<Order> LoadFence() const;  // NotFound, DataLoss

  base::Status SaveIdentity(const std::string& key_pem, const agent::v1::Identity& identity);
  base::Status LoadIdentity(std::string& key_pem, agent::v1::Identity& identity) const;

 private:
  std::string CredentialsPath(const std::string& version) const;
  const std::string state_dir_;
  const std::string secrets_dir_;
};

}  // namespace sluice::control
