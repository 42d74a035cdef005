// `audit verify FILE…` and `audit replay FILE…`: reads files of the audit log and tells what is
// wrong with them. Writes nothing.
#pragma once

#include <string>

#include "controller/base/status.h"
#include "controller/client/client.h"
#include "controller/cmd/kubectl_sluice/options.h"

namespace sluice::kubectl {

struct AuditAnswer {
  std::string text;
  bool good = false;  // proved whole; every verdict replayed to what was recorded
};

// `api`: where the checkpoint is read when the options name no other end of the log; may be null
// otherwise. Errors: NotFound (a file), InvalidArgument (a checkpoint), the client's.
base::StatusOr<AuditAnswer> AuditVerify(const Options& options, client::Reader* api);
base::StatusOr<AuditAnswer> AuditReplay(const Options& options);

// Whether AuditVerify needs the cluster.
bool NeedsCheckpoint(const Options& options);

}  // namespace sluice::kubectl
