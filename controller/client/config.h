// Where a cluster is and how to prove who we are: from a kubeconfig, or from the files a pod gets.
//
// Only values here; reading files again when they rotate, and running exec plugins, is done by the
// client made of it (credentials.h). Thread rule: values; the functions from any thread.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "controller/base/status.h"

namespace sluice::client {

// The versions of client.authentication.k8s.io that a plugin may speak; their fields are alike.
inline constexpr char kExecV1[] = "client.authentication.k8s.io/v1";
inline constexpr char kExecV1Beta1[] = "client.authentication.k8s.io/v1beta1";

// A credential plugin.
struct ExecPlugin {
  std::string api_version = kExecV1;  // it is asked in this one, and must answer in it
  std::string command;
  std::vector<std::string> args;
  std::map<std::string, std::string> env;  // added to ours
  bool provide_cluster_info = false;
  // The cluster's extension "client.authentication.k8s.io/exec" as JSON, told with the cluster's
  // info; empty: none.
  std::string cluster_config_json;
  std::string install_hint;  // told when the command is not there
  // A person is at the terminal: the plugin has our standard input and error, and minutes.
  bool interactive = false;
};

struct Config {
  std::string server;                 // https://host:port
  std::string tls_server_name;        // instead of the host
  std::string proxy_url;              // http://…; empty: direct
  bool insecure_skip_verify = false;  // only when the kubeconfig says so
  std::string ns;                     // the context's namespace

  // Of each pair, data wins over file; of the token the file does (credentials.h). Files are read
  // again while running.
  std::string ca_pem;
  std::string ca_file;
  std::string cert_pem;
  std::string cert_file;
  std::string key_pem;
  std::string key_file;
  std::string token;
  std::string token_file;
  std::optional<ExecPlugin> exec;
  // Headers of each request: the server is to take us for whom they name (Impersonate-User …).
  std::vector<std::pair<std::string, std::string>> impersonate;

  std::string user_agent = "sluice-controller";
  std::chrono::milliseconds request_timeout{0};  // of a call; 0: limits.h
  std::chrono::milliseconds watch_silence{0};    // then a watch is over; 0: limits.h
};

// Whether somebody is there whom a credential plugin may ask.
enum class Terminal { kNone, kPerson };

struct KubeconfigOptions {
  std::string context;  // empty: current-context
  // Data in the text only: exec plugins, file paths, proxies, impersonation and
  // insecure-skip-tls-verify are refused. For kubeconfigs that came from a Secret, where they would
  // run code in our process or lead elsewhere.
  bool inline_only = false;
  std::string folder;  // relative paths are relative to this
  Terminal terminal = Terminal::kNone;
};

// Looks at the text alone, never at the environment. Errors: InvalidArgument naming the field.
base::StatusOr<Config> ParseKubeconfig(std::string_view text, const KubeconfigOptions& options);
// This one and those below take the proxy of HTTPS_PROXY and its like (http/proxy.h) where the
// configuration names none. Errors: also NotFound, PermissionDenied of the file; InvalidArgument
// naming the variable.
base::StatusOr<Config> LoadKubeconfig(const std::string& path, const std::string& context = "",
                                      Terminal terminal = Terminal::kNone);
// From KUBERNETES_SERVICE_HOST and /var/run/secrets/kubernetes.io/serviceaccount (or `folder`).
// Errors: NotFound when we are not in a cluster.
base::StatusOr<Config> InClusterConfig(const std::string& folder = "");

// Whose cluster is meant where nobody names a kubeconfig.
enum class Search {
  kPodFirst,    // a controller: $KUBECONFIG, in-cluster, ~/.kube/config
  kFilesFirst,  // a person's tool, as kubectl: $KUBECONFIG or ~/.kube/config, in-cluster
};
// The first that there is. Of the files of $KUBECONFIG the first to have a name counts, and none
// but they; one that is empty is as good as none. A chosen `context` is one of a file's, never
// in-cluster. Errors: as LoadKubeconfig.
base::StatusOr<Config> DefaultConfig(Search search, const std::string& context = "",
                                     Terminal terminal = Terminal::kNone);

}  // namespace sluice::client
