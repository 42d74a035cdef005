// Internal to this folder: the one door a streamed configuration comes through, however many
// streams there are. Order, conversion, validation, the owner's answer, disk: in this order, one at
// a time.
//
// Invariants:
//  1. A refused configuration changes nothing but the fence. Offered again under the same order, as
//     the controller does, it is judged anew: a port may be free by now.
//  2. The fence never falls within a lineage, across restarts too.
//  3. An ack means: in force and, unless health says otherwise, on disk.
//
// Thread rule: any thread.
#pragma once

#include <mutex>
#include <optional>
#include <string>

#include "controller/base/status.h"
#include "datapath/control/config.h"
#include "datapath/control/source.h"
#include "datapath/control/state_store.h"

namespace sluice::agent::v1 {
class Configuration;
class Order;
}  // namespace sluice::agent::v1

namespace sluice::control {

class ConfigGate {
 public:
  ConfigGate(StateStore& store, std::string site, std::string node, Source::OnConfig on_config)
      : store_(store),
        site_(std::move(site)),
        node_(std::move(node)),
        on_config_(std::move(on_config)) {}

  // Reads the fence and delivers the last good configuration, if there is one and none is in force.
  // False: its owner refused it, for a cause that may pass; call again.
  bool Restore();
  // The lineage of the cluster that admitted us, for an agent that was never offered anything.
  void Admitted(const std::string& lineage);

  base::Status Take(const agent::v1::Configuration& message);
  // A command that is no configuration: only its order is judged.
  base::Status Judge(const agent::v1::Order& order) const;

  struct View {
    std::string applied_version;
    Order applied_order;
    Order fence;
    std::string last_nack;
    std::string disk_problem;  // empty: what is in force is on disk
  };
  View view() const;

 private:
  base::Status TakeLocked(const agent::v1::Configuration& message);
  void RaiseFence(const Order& order);
  void Persist(const agent::v1::Configuration& message);

  StateStore& store_;
  const std::string site_;
  const std::string node_;
  const Source::OnConfig on_config_;
  mutable std::mutex mutex_;
  View view_;                    // guarded by mutex_, as what follows
  std::string restore_problem_;  // said once
};

}  // namespace sluice::control
