// --as and its like, as kubectl takes them. Pure.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "controller/base/status.h"
#include "controller/cmd/kubectl_sluice/options.h"

namespace sluice::kubectl {

// Puts what the flags say of a user into the headers of a client::Config: each in place of the
// kubeconfig's own, which stay where the flags say nothing. Errors: InvalidArgument where there is
// no user of whom it is said.
base::Status Impersonate(const Options& options,
                         std::vector<std::pair<std::string, std::string>>& headers);

}  // namespace sluice::kubectl
