// --as and --as-group, as kubectl takes them. Pure.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "controller/base/status.h"
#include "controller/cmd/kubectl_sluice/options.h"

namespace sluice::kubectl {

// Puts the flags' user and groups into the headers of a client::Config: each in place of the
// kubeconfig's own, which stay where the flags say nothing. Errors: InvalidArgument for groups of
// nobody.
base::Status Impersonate(const Options& options,
                         std::vector<std::pair<std::string, std::string>>& headers);

}  // namespace sluice::kubectl
