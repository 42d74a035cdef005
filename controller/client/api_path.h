// Paths and queries of the Kubernetes API. Pure; any thread.
#pragma once

#include <string>
#include <string_view>

#include "controller/base/status.h"
#include "controller/client/client.h"
#include "controller/meta/resource.h"

namespace sluice::client {

// "/apis/sluice.dev/v1alpha1/sites", "/api/v1/namespaces/x/pods"; all namespaces when `ns` is
// empty. Errors: InvalidArgument when a cluster-scoped kind is given a namespace.
base::StatusOr<std::string> CollectionPath(const meta::Resource& resource, std::string_view ns);
// One object's, with "/status" or the like behind it. Errors: InvalidArgument: no name (the
// collection would be meant), or no namespace for a namespaced kind.
base::StatusOr<std::string> ObjectPath(const meta::Resource& resource, const meta::Key& key,
                                       std::string_view subresource = "");

std::string ListQuery(const ListOptions& options, std::string_view continue_token);
std::string WatchQuery(const WatchOptions& options);
std::string ApplyQuery(const ApplyOptions& options);

}  // namespace sluice::client
