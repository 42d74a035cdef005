// Objects of our kinds, where the kinds themselves may be missing: a cluster that Sluice is not
// installed in is told apart from one without objects.
#pragma once

#include <string>
#include <vector>

#include "controller/client/client.h"

namespace sluice::kubectl {

// Errors: the client's; FailedPrecondition when the cluster does not have the kind.
base::StatusOr<std::vector<meta::ObjectPtr>> ListServed(client::Reader& api,
                                                        const meta::Resource& resource);
// None when the cluster does not have the kind: it may be older than this plugin.
base::StatusOr<std::vector<meta::ObjectPtr>> ListIfServed(client::Reader& api,
                                                          const meta::Resource& resource);

// The object, or nullptr when there is none (or `name` is empty).
base::StatusOr<meta::ObjectPtr> GetIfThere(client::Reader& api, const meta::Resource& resource,
                                           const std::string& name);
// Errors: NotFound naming those that there are; as ListServed.
base::StatusOr<meta::ObjectPtr> GetNamed(client::Reader& api, const meta::Resource& resource,
                                         const std::string& name);

// A client's error with what to do about it; `server` is whom it asked.
base::Status Explained(const base::Status& error, const std::string& server);

}  // namespace sluice::kubectl
