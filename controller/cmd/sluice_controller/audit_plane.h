// The audit log as a part of the process: the file's folder, standard output, the ConfigMap of its
// checkpoints with the authority's signature, gauges, and the thread that writes late checkpoints.
//
// Order: construct -> Register (before the Manager runs) -> OnLead … -> Stop (writes the last
// checkpoint). Thread rule: the owner's thread; OnLead and log from any.
#pragma once

#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <thread>

#include "controller/base/clock.h"
#include "controller/cmd/sluice_controller/audit_store.h"
#include "controller/runtime/manager.h"
#include "reconcilers/audit/log.h"

namespace sluice::controller_main {

struct AuditPlaneOptions {
  std::string ns;
  std::string identity;
  std::string directory;  // empty: no files
  bool to_stdout = true;
  audit::Retention retention;
};

class AuditPlane {
 public:
  // `signing_key` gives the PEM key of the authority in force.
  AuditPlane(AuditPlaneOptions options, client::Client& client, base::Clock& clock,
             std::function<std::string()> signing_key);
  ~AuditPlane();  // Stop()

  void Register(runtime::Manager& manager);
  // A log that cannot be opened holds what it would record; it does not keep this replica from
  // leading.
  void OnLead(std::int64_t epoch);
  void Stop();
  audit::Log& log() { return log_; }

 private:
  void Run(const std::stop_token& stop);

  ConfigMapCheckpointStore store_;
  const std::unique_ptr<audit::Disk> disk_;
  audit::Log log_;
  std::jthread thread_;  // the last member: it uses the others
};

}  // namespace sluice::controller_main
