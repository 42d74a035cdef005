// A real etcd and kube-apiserver of the test's own (deploy/local/cluster, profile api), on ports
// the kernel picks. Several run side by side; one whose test was killed is cleared by the next.
//
// Needs the programs of deploy/local/install.sh; without them Start fails, and so does the test:
// an integration test is never skipped silently.
//
// Thread rule: one thread. Stop: the destructor takes everything down.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "controller/base/status.h"

namespace sluice::testing_kit {

struct ApiServerOptions {
  bool controller_manager = false;  // garbage collection, namespaces
  std::vector<std::string> users;   // "name:group,…", each with a bearer token
  std::string crds;                 // applied once it is up: "deploy/crds"; empty: none
};

class ApiServer {
 public:
  static base::StatusOr<std::unique_ptr<ApiServer>> Start(const ApiServerOptions& options = {});
  ~ApiServer();
  ApiServer(const ApiServer&) = delete;
  ApiServer& operator=(const ApiServer&) = delete;

  std::string kubeconfig() const { return state_ + "/kubeconfig"; }  // cluster-admin
  std::string token(const std::string& user) const;
  const std::string& state() const { return state_; }

  // kubectl with this cluster's kubeconfig; `input` is its standard input.
  base::StatusOr<std::string> Kubectl(std::vector<std::string> args,
                                      const std::string& input = {}) const;
  // kubectl apply --server-side of a YAML or JSON text.
  base::Status Apply(const std::string& objects) const;
  base::Status StopComponent(const std::string& name, const std::string& signal = "TERM");
  base::Status StartComponent(const std::string& name);
  // Writes that reached it since it started, by whom and to what: from its audit log, one line each
  // "USER VERB RESOURCE[/SUBRESOURCE] NAMESPACE/NAME FIELD-MANAGER".
  base::StatusOr<std::vector<std::string>> Writes() const;

 private:
  explicit ApiServer(std::string state) : state_(std::move(state)) {}
  const std::string state_;
};

}  // namespace sluice::testing_kit
