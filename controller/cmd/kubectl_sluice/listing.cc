#include "controller/cmd/kubectl_sluice/listing.h"

#include <fmt/format.h>

namespace sluice::kubectl {
namespace {

constexpr std::size_t kMaxNamesBytes = 200;  // of objects named in a message

}  // namespace

base::StatusOr<std::vector<meta::ObjectPtr>> ListServed(client::Reader& api,
                                                        const meta::Resource& resource) {
  auto list = api.List(resource, {});
  if (list.ok()) return std::move(list->items);
  if (list.status().code() != base::Code::kNotFound) return list.status();
  return base::FailedPrecondition(fmt::format(
      "the cluster has no {}: Sluice is not installed there, or is older than this plugin; "
      "--context names another cluster",
      resource.GroupResource()));
}

base::StatusOr<std::vector<meta::ObjectPtr>> ListIfServed(client::Reader& api,
                                                          const meta::Resource& resource) {
  auto list = api.List(resource, {});
  if (list.ok()) return std::move(list->items);
  if (list.status().code() == base::Code::kNotFound) return std::vector<meta::ObjectPtr>();
  return list.status();
}

base::Status Explained(const base::Status& error, const std::string& server) {
  const std::string& what = error.message();
  switch (error.code()) {
    case base::Code::kUnavailable:
    case base::Code::kDeadlineExceeded:
      return {error.code(), fmt::format("the API server {} does not answer: {}; --context names "
                                        "another cluster",
                                        server, what)};
    case base::Code::kUnauthenticated:
      if (error.reason() == "CredentialPlugin") return error;  // says what it is about
      return {error.code(), fmt::format("the API server {} does not take the kubeconfig's "
                                        "credentials: {}; renew them",
                                        server, what)};
    case base::Code::kPermissionDenied:
      if (what.find("sluice.dev") == std::string::npos) return error;
      return {error.code(), what + "; ClusterRole sluice-view allows reading"};
    default:
      return error;
  }
}

base::StatusOr<meta::ObjectPtr> GetIfThere(client::Reader& api, const meta::Resource& resource,
                                           const std::string& name) {
  if (name.empty()) return meta::ObjectPtr();
  auto object = api.Get(resource, {"", name});
  if (!object.ok() && object.status().code() == base::Code::kNotFound) return meta::ObjectPtr();
  return object;
}

base::StatusOr<meta::ObjectPtr> GetNamed(client::Reader& api, const meta::Resource& resource,
                                         const std::string& name) {
  SLUICE_ASSIGN_OR_RETURN(meta::ObjectPtr object, GetIfThere(api, resource, name));
  if (object != nullptr) return object;
  SLUICE_ASSIGN_OR_RETURN(const auto others, ListServed(api, resource));
  std::string names;
  for (const meta::ObjectPtr& other : others) {
    if (names.size() > kMaxNamesBytes) {
      names += ", …";
      break;
    }
    names += (names.empty() ? "" : ", ") + std::string(other->name());
  }
  return base::NotFound(fmt::format("there is no {} \"{}\"; there {}", resource.kind, name,
                                    names.empty() ? "are none" : "are: " + names));
}

}  // namespace sluice::kubectl
