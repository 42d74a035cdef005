// Where a configuration is found when nobody hands it over: files, the pod's own, the environment.
#include "controller/client/config.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

#include "controller/base/file.h"
#include "controller/client/kubeconfig.h"
#include "controller/client/limits.h"
#include "controller/http/proxy.h"
#include "controller/http/url.h"

namespace sluice::client {
namespace {

base::StatusOr<KubeconfigFile> ReadKubeconfig(const std::string& path) {
  SLUICE_ASSIGN_OR_RETURN(std::string text, base::ReadFile(path, kMaxKubeconfigBytes));
  if (text.find_first_not_of(" \t\r\n") == std::string::npos) {
    return base::NotFound(path + ": empty");
  }
  return KubeconfigFile{path, FolderOf(path), std::move(text)};
}

// As client-go does it: the environment counts where the configuration names no proxy.
base::StatusOr<Config> WithProxy(Config config) {
  if (!config.proxy_url.empty()) return config;
  SLUICE_ASSIGN_OR_RETURN(const http::Url url, http::ParseUrl(config.server));
  SLUICE_ASSIGN_OR_RETURN(config.proxy_url, http::ProxyFor(url, [](const char* name) {
                            const char* value = std::getenv(name);
                            return std::string(value == nullptr ? "" : value);
                          }));
  return config;
}

// As kubectl takes $KUBECONFIG: files that are not there are passed over, unless none is.
base::StatusOr<Config> LoadTogether(std::string_view list, const std::string& context,
                                    Terminal terminal) {
  std::vector<KubeconfigFile> files;
  base::Status missing = base::NotFound("KUBECONFIG names no file");
  while (!list.empty()) {
    const std::string path(list.substr(0, list.find(':')));
    list.remove_prefix(std::min(list.size(), path.size() + 1));
    if (path.empty()) continue;
    if (files.size() == kMaxKubeconfigFiles) {
      return base::InvalidArgument(
          fmt::format("KUBECONFIG: more than {} files; name fewer", kMaxKubeconfigFiles));
    }
    auto file = ReadKubeconfig(path);
    if (file.ok()) {
      files.push_back(*std::move(file));
    } else if (file.status().code() == base::Code::kNotFound) {
      missing = file.status();
    } else {
      return file.status();
    }
  }
  if (files.empty()) return missing;
  SLUICE_ASSIGN_OR_RETURN(Config config,
                          ParseKubeconfigs(files, {.context = context, .terminal = terminal}));
  return WithProxy(std::move(config));
}

}  // namespace

base::StatusOr<Config> LoadKubeconfig(const std::string& path, const std::string& context,
                                      Terminal terminal) {
  SLUICE_ASSIGN_OR_RETURN(const KubeconfigFile file, ReadKubeconfig(path));
  auto config =
      ParseKubeconfig(file.text, {.context = context, .folder = file.folder, .terminal = terminal});
  if (!config.ok()) return config.status().Annotate(path);
  return WithProxy(*std::move(config));
}

base::StatusOr<Config> InClusterConfig(const std::string& folder) {
  const char* host = std::getenv("KUBERNETES_SERVICE_HOST");
  const char* port = std::getenv("KUBERNETES_SERVICE_PORT");
  if (host == nullptr || port == nullptr || *host == '\0' || *port == '\0') {
    return base::NotFound("not in a cluster: KUBERNETES_SERVICE_HOST and _PORT are not set");
  }
  const std::string from =
      folder.empty() ? "/var/run/secrets/kubernetes.io/serviceaccount" : folder;
  Config config;
  const bool v6 = std::string_view(host).find(':') != std::string_view::npos;
  config.server = fmt::format("https://{}{}{}:{}", v6 ? "[" : "", host, v6 ? "]" : "", port);
  config.ca_file = from + "/ca.crt";
  config.token_file = from + "/token";
  if (auto ns = base::ReadFile(from + "/namespace", kMaxCredentialFileBytes); ns.ok()) {
    config.ns = std::move(ns).value();
  }
  return WithProxy(std::move(config));
}

base::StatusOr<Config> DefaultConfig(Search search, const std::string& context, Terminal terminal) {
  const char* list = std::getenv("KUBECONFIG");
  const bool named = list != nullptr && *list != '\0';
  const auto files = [&] {
    if (named) return LoadTogether(list, context, terminal);
    const char* home = std::getenv("HOME");
    return LoadKubeconfig(std::string(home == nullptr ? "" : home) + "/.kube/config", context,
                          terminal);
  };
  const auto is_there = [](const base::StatusOr<Config>& config) {
    return config.status().code() != base::Code::kNotFound;
  };
  const bool pod_first = search == Search::kPodFirst;
  if (!context.empty() || (pod_first && named)) return files();
  auto first = pod_first ? InClusterConfig() : files();
  if (is_there(first)) return first;
  auto second = pod_first ? files() : InClusterConfig();
  // Where there is neither, the file is what somebody can cure.
  return is_there(second) || pod_first ? std::move(second) : std::move(first);
}

}  // namespace sluice::client
