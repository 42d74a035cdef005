// The names of a kubeconfig's contexts, which completion offers.
#pragma once

#include <string>
#include <vector>

namespace sluice::kubectl {

// Of the kubeconfig's text, in its order; none where it is no kubeconfig. Pure.
std::vector<std::string> ContextsIn(const std::string& kubeconfig);

// Of `kubeconfig`, else of the files of $KUBECONFIG, else of ~/.kube/config; files that cannot be
// read have none.
std::vector<std::string> Contexts(const std::string& kubeconfig);

}  // namespace sluice::kubectl
