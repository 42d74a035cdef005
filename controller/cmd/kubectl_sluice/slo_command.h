// `slo import FILE…`: OpenSLO v1 documents as ServiceLevelObjectives, for `kubectl apply -f -`.
// `slo export [NAME…]`: the cluster's objectives as OpenSLO v1. Writes nothing to the cluster.
#pragma once

#include <string>

#include "controller/base/status.h"
#include "controller/client/client.h"
#include "controller/cmd/kubectl_sluice/options.h"

namespace sluice::kubectl {

// Errors: InvalidArgument with one line for each thing refused: file and document, field, rule.
base::StatusOr<std::string> SloImport(const Options& options);
// Errors: the client's; NotFound naming an objective.
base::StatusOr<std::string> SloExport(client::Reader& api, const Options& options);

}  // namespace sluice::kubectl
