#include "controller/client/kubeconfig.h"

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "controller/base/digest.h"
#include "controller/base/yaml.h"
#include "controller/client/config.h"
#include "controller/client/impersonation.h"
#include "controller/client/limits.h"
#include "controller/http/proxy.h"
#include "controller/http/url.h"

namespace sluice::client {
namespace {

base::Status Bad(std::string_view field, std::string_view what) {
  return base::InvalidArgument(fmt::format("kubeconfig: {}: {}", field, what));
}

std::string Text(const YAML::Node& node, const char* key) {
  if (!node.IsMap()) return {};
  const YAML::Node value = node[key];
  return value && value.IsScalar() ? value.Scalar() : std::string();
}

// One of YAML 1.1's words, which Kubernetes' reader takes: yes, On, TRUE. `field` is for people.
base::StatusOr<bool> Flag(const YAML::Node& node, const char* key, std::string_view field) {
  const YAML::Node value = node[key];
  bool flag = false;
  if (!value || value.IsNull() || YAML::convert<bool>::decode(value, flag)) return flag;
  return Bad(field, "must be true or false (or YAML's yes, no, on, off)");
}

// The entry called `name` in a list of {name, <kind>: {...}}; a null node when there is none.
YAML::Node Named(const YAML::Node& root, const char* list, const char* kind,
                 const std::string& name) {
  const YAML::Node entries = root[list];
  if (entries && entries.IsSequence()) {
    for (const YAML::Node& entry : entries) {
      if (entry.IsMap() && Text(entry, "name") == name && entry[kind]) return entry[kind];
    }
  }
  return YAML::Node(YAML::NodeType::Null);
}

// One file of those that make a kubeconfig together.
struct Part {
  YAML::Node root;
  std::string folder;  // relative paths in it are relative to this
};

// A YAML text as JSON. Plain words are numbers, booleans and null by YAML's core schema, quoted
// ones are text. Throws when there is too much of it: aliases can make a short text very long.
class YamlToJson {
 public:
  nlohmann::json Convert(const YAML::Node& node) {
    if (++nodes_ > kMaxExtensionNodes) throw std::runtime_error("too many nodes");
    nlohmann::json out;
    if (node.IsMap()) {
      out = nlohmann::json::object();
      for (const auto& entry : node) out[entry.first.Scalar()] = Convert(entry.second);
    } else if (node.IsSequence()) {
      out = nlohmann::json::array();
      for (const auto& entry : node) out.push_back(Convert(entry));
    } else if (node.IsScalar()) {
      out = Scalar(node);
    }
    return out;
  }

 private:
  static nlohmann::json Scalar(const YAML::Node& node) {
    std::int64_t whole = 0;
    double number = 0;
    bool flag = false;
    if (node.Tag() == "!") return node.Scalar();
    if (YAML::convert<std::int64_t>::decode(node, whole)) return whole;
    if (YAML::convert<double>::decode(node, number)) return number;
    if (YAML::convert<bool>::decode(node, flag)) return flag;
    return node.Scalar();
  }
  int nodes_ = 0;
};

// The part of the cluster's extensions that is meant for credential plugins.
std::string ClusterConfig(const YAML::Node& cluster) {
  const YAML::Node found =
      Named(cluster, "extensions", "extension", "client.authentication.k8s.io/exec");
  if (found.IsNull()) return {};
  return YamlToJson().Convert(found).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

class KubeconfigReader {
 public:
  explicit KubeconfigReader(const KubeconfigOptions& options) : options_(options) {}

  // Of each name the first counts.
  base::StatusOr<Config> Read(const std::vector<Part>& parts);

 private:
  // The entry in the first file that has it, whose folder is the one from here on.
  YAML::Node Find(const std::vector<Part>& parts, const char* list, const char* kind,
                  const std::string& name);
  base::Status NoContext(const std::vector<Part>& parts, const std::string& name) const;
  base::Status ReadCluster(const YAML::Node& cluster);
  base::Status ReadUser(const YAML::Node& user, const YAML::Node& cluster);
  base::Status ReadImpersonation(const YAML::Node& user);
  base::Status ReadExec(const YAML::Node& exec, const YAML::Node& cluster);
  // <key>-data as base64 into *data, else <key> as a path into *file.
  base::Status DataOrFile(const YAML::Node& node, const std::string& key, std::string* data,
                          std::string* file) const;
  std::string Path(const std::string& path) const {
    if (path.starts_with('/') || folder_.empty()) return path;
    return folder_ + (folder_.ends_with('/') ? "" : "/") + path;
  }

  const KubeconfigOptions& options_;
  std::string folder_;
  Config config_;
};

YAML::Node KubeconfigReader::Find(const std::vector<Part>& parts, const char* list,
                                  const char* kind, const std::string& name) {
  for (const Part& part : parts) {
    const YAML::Node found = Named(part.root, list, kind, name);
    if (found.IsNull()) continue;
    folder_ = part.folder;
    return found;
  }
  return YAML::Node(YAML::NodeType::Null);
}

// The names there are help who chose one; of a Secret's text nothing is told.
base::Status KubeconfigReader::NoContext(const std::vector<Part>& parts,
                                         const std::string& name) const {
  std::set<std::string> names;
  for (const Part& part : parts) {
    const YAML::Node contexts = part.root["contexts"];
    if (options_.inline_only || !contexts || !contexts.IsSequence()) continue;
    for (const YAML::Node& entry : contexts) names.insert(Text(entry, "name"));
  }
  std::string others;
  for (const std::string& each : names) {
    if (others.size() > kMaxNamesBytes) break;
    others += (others.empty() ? "" : ", ") + each;
  }
  return Bad("contexts", fmt::format("no context \"{}\"{}{}", name,
                                     others.empty() ? "" : "; there are: ", others));
}

base::StatusOr<Config> KubeconfigReader::Read(const std::vector<Part>& parts) {
  std::string name = options_.context;
  for (const Part& part : parts) {
    if (!part.root.IsMap()) return Bad("text", "not a mapping");
    if (name.empty()) name = Text(part.root, "current-context");
  }
  if (name.empty()) return Bad("current-context", "empty, and no context was chosen");
  const YAML::Node context = Find(parts, "contexts", "context", name);
  if (!context.IsMap()) return NoContext(parts, name);
  config_.ns = Text(context, "namespace");
  const std::string cluster_name = Text(context, "cluster");
  const YAML::Node cluster = Find(parts, "clusters", "cluster", cluster_name);
  if (!cluster.IsMap()) return Bad("clusters", fmt::format("no cluster \"{}\"", cluster_name));
  SLUICE_RETURN_IF_ERROR(ReadCluster(cluster));
  if (const std::string user_name = Text(context, "user"); !user_name.empty()) {
    const YAML::Node user = Find(parts, "users", "user", user_name);
    if (!user.IsMap()) return Bad("users", fmt::format("no user \"{}\"", user_name));
    SLUICE_RETURN_IF_ERROR(ReadUser(user, cluster));
  }
  return std::move(config_);
}

base::Status KubeconfigReader::ReadCluster(const YAML::Node& cluster) {
  config_.server = Text(cluster, "server");
  const auto url = http::ParseUrl(config_.server);
  if (!url.ok()) return Bad("cluster.server", url.status().message());
  config_.tls_server_name = Text(cluster, "tls-server-name");
  config_.proxy_url = Text(cluster, "proxy-url");
  SLUICE_ASSIGN_OR_RETURN(config_.insecure_skip_verify, Flag(cluster, "insecure-skip-tls-verify",
                                                             "cluster.insecure-skip-tls-verify"));
  if (options_.inline_only) {
    if (!config_.proxy_url.empty()) return Bad("cluster.proxy-url", "refused here");
    if (config_.insecure_skip_verify) {
      return Bad("cluster.insecure-skip-tls-verify", "refused here");
    }
    if (!url->tls()) return Bad("cluster.server", "must be https here");
  }
  if (!config_.proxy_url.empty()) {
    const auto proxy = http::ParseProxyUrl(config_.proxy_url);
    if (!proxy.ok()) return Bad("cluster.proxy-url", proxy.status().message());
  }
  SLUICE_RETURN_IF_ERROR(
      DataOrFile(cluster, "certificate-authority", &config_.ca_pem, &config_.ca_file));
  if (config_.insecure_skip_verify && !(config_.ca_pem.empty() && config_.ca_file.empty())) {
    return Bad("cluster",
               "insecure-skip-tls-verify and a certificate authority exclude each other");
  }
  return base::OkStatus();
}

base::Status KubeconfigReader::ReadUser(const YAML::Node& user, const YAML::Node& cluster) {
  SLUICE_RETURN_IF_ERROR(
      DataOrFile(user, "client-certificate", &config_.cert_pem, &config_.cert_file));
  SLUICE_RETURN_IF_ERROR(DataOrFile(user, "client-key", &config_.key_pem, &config_.key_file));
  const bool cert = !config_.cert_pem.empty() || !config_.cert_file.empty();
  const bool key = !config_.key_pem.empty() || !config_.key_file.empty();
  if (cert != key) return Bad("user", "client-certificate and client-key belong together");
  config_.token = Text(user, "token");
  if (const std::string file = Text(user, "tokenFile"); !file.empty()) {
    if (options_.inline_only) return Bad("user.tokenFile", "refused here");
    config_.token_file = Path(file);
  }
  if (!Text(user, "username").empty() || !Text(user, "password").empty()) {
    return Bad("user.username", "Kubernetes takes no passwords since 1.19");
  }
  if (user["auth-provider"]) return Bad("user.auth-provider", "gone since 1.26; use exec");
  SLUICE_RETURN_IF_ERROR(ReadImpersonation(user));
  const YAML::Node exec = user["exec"];
  if (!exec || exec.IsNull()) return base::OkStatus();
  if (options_.inline_only) return Bad("user.exec", "refused here");
  return ReadExec(exec, cluster);
}

// As client-go sends it. What was left out would leave us more rights than were meant.
base::Status KubeconfigReader::ReadImpersonation(const YAML::Node& user) {
  const auto add = [this](const std::string& field, const std::string& header,
                          const YAML::Node& value) {
    const std::string text = value.IsScalar() ? value.Scalar() : std::string();
    if (!IsHeaderSafe(text)) return Bad(field, "not text in one line without blanks around it");
    config_.impersonate.emplace_back(header, text);
    return base::OkStatus();
  };
  const auto add_each = [&add](const std::string& field, const std::string& header,
                               const YAML::Node& list) {
    if (!list.IsSequence()) return Bad(field, "not a list");
    for (const YAML::Node& value : list) SLUICE_RETURN_IF_ERROR(add(field, header, value));
    return base::OkStatus();
  };
  for (const std::string key : {"as", "as-uid", "as-groups", "as-user-extra"}) {
    const YAML::Node given = user[key];
    if (!given || given.IsNull()) continue;
    const std::string field = "user." + key;
    if (options_.inline_only) return Bad(field, "refused here");
    if (key == "as") {
      SLUICE_RETURN_IF_ERROR(add(field, kImpersonateUser, given));
    } else if (config_.impersonate.empty()) {
      return Bad(field, "nobody without user.as");
    } else if (key == "as-uid") {
      SLUICE_RETURN_IF_ERROR(add(field, kImpersonateUid, given));
    } else if (key == "as-groups") {
      SLUICE_RETURN_IF_ERROR(add_each(field, kImpersonateGroup, given));
    } else {
      if (!given.IsMap()) return Bad(field, "not a mapping");
      for (const auto& extra : given) {
        const std::string& name = extra.first.Scalar();
        if (name.empty()) return Bad(field, "an empty key");
        SLUICE_RETURN_IF_ERROR(add_each(field, ImpersonateExtra(name), extra.second));
      }
    }
  }
  return base::OkStatus();
}

base::Status KubeconfigReader::ReadExec(const YAML::Node& exec, const YAML::Node& cluster) {
  if (!exec.IsMap()) return Bad("user.exec", "not a mapping");
  ExecPlugin plugin;
  plugin.api_version = Text(exec, "apiVersion");
  if (plugin.api_version == "client.authentication.k8s.io/v1alpha1") {
    return Bad("user.exec.apiVersion",
               "v1alpha1 is gone since Kubernetes 1.24; update the plugin and have it, or its "
               "provider's tool, write this user anew");
  }
  if (plugin.api_version != kExecV1 && plugin.api_version != kExecV1Beta1) {
    return Bad("user.exec.apiVersion",
               fmt::format("must be {} or {}", std::string_view(kExecV1), kExecV1Beta1));
  }
  plugin.command = Text(exec, "command");
  if (plugin.command.empty()) return Bad("user.exec.command", "empty");
  // A bare word is looked up in PATH, a path with a slash is relative to the file.
  if (plugin.command.find('/') != std::string::npos) plugin.command = Path(plugin.command);
  const std::string mode = Text(exec, "interactiveMode");
  const bool person = options_.terminal == Terminal::kPerson;
  if (mode == "Always" && !person) {
    return Bad("user.exec.interactiveMode", "nobody is there to be asked");
  }
  if (!mode.empty() && mode != "Never" && mode != "IfAvailable" && mode != "Always") {
    return Bad("user.exec.interactiveMode", "must be Never, IfAvailable or Always");
  }
  plugin.interactive = person && mode != "Never";
  plugin.install_hint = Text(exec, "installHint");
  SLUICE_ASSIGN_OR_RETURN(plugin.provide_cluster_info,
                          Flag(exec, "provideClusterInfo", "user.exec.provideClusterInfo"));
  if (plugin.provide_cluster_info) plugin.cluster_config_json = ClusterConfig(cluster);
  if (const YAML::Node args = exec["args"]; args && args.IsSequence()) {
    for (const YAML::Node& arg : args) {
      if (!arg.IsScalar()) return Bad("user.exec.args", "not a list of strings");
      plugin.args.push_back(arg.Scalar());
    }
  }
  if (const YAML::Node env = exec["env"]; env && env.IsSequence()) {
    for (const YAML::Node& entry : env) {
      const std::string name = Text(entry, "name");
      if (name.empty() || name.find('=') != std::string::npos) {
        return Bad("user.exec.env", "an entry without a good name");
      }
      plugin.env[name] = Text(entry, "value");
    }
  }
  config_.exec = std::move(plugin);
  return base::OkStatus();
}

base::Status KubeconfigReader::DataOrFile(const YAML::Node& node, const std::string& key,
                                          std::string* data, std::string* file) const {
  const std::string data_key = key + "-data";
  if (const std::string text = Text(node, data_key.c_str()); !text.empty()) {
    // It may stand in lines, as base64(1) writes it, which YAML joins by blanks; Go skips them too.
    std::string joined = text;
    std::erase_if(joined, [](char c) { return c == '\r' || c == '\n' || c == ' '; });
    auto decoded = base::Base64Decode(joined);
    if (!decoded.ok() || decoded->empty()) return Bad(data_key, "not base64");
    *data = std::move(decoded).value();
    return base::OkStatus();
  }
  const std::string path = Text(node, key.c_str());
  if (path.empty()) return base::OkStatus();
  if (options_.inline_only) return Bad(key, "a file path is refused here");
  *file = Path(path);
  return base::OkStatus();
}

base::StatusOr<YAML::Node> Parse(const std::string& text) {
  if (text.size() > kMaxKubeconfigBytes) return Bad("text", "too long");
  try {
    YAML::Node root = YAML::Load(text);
    if (const auto end = base::CheckYamlEnd(text, base::YamlDocuments::kOne); !end.ok()) {
      return Bad("text", end.message());
    }
    return root;
  } catch (const YAML::Exception& error) {
    // The message holds a place, never the text: kubeconfigs hold secrets.
    return Bad("text", fmt::format("bad YAML at line {}", error.mark.line + 1));
  } catch (const std::exception&) {
    return Bad("text", "bad YAML");
  }
}

}  // namespace

std::string FolderOf(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return "";
  return path.substr(0, std::max<std::size_t>(slash, 1));  // of "/config" the root
}

base::StatusOr<Config> ParseKubeconfigs(const std::vector<KubeconfigFile>& files,
                                        const KubeconfigOptions& options) {
  std::vector<Part> parts;
  for (const KubeconfigFile& file : files) {
    auto root = Parse(file.text);
    if (!root.ok()) return file.path.empty() ? root.status() : root.status().Annotate(file.path);
    if (root->IsNull() && files.size() > 1) continue;  // an empty one among others
    parts.push_back({*std::move(root), file.folder});
  }
  try {
    return KubeconfigReader(options).Read(parts);
  } catch (const std::exception&) {
    return Bad("text", "bad YAML");
  }
}

base::StatusOr<Config> ParseKubeconfig(std::string_view text, const KubeconfigOptions& options) {
  return ParseKubeconfigs({{"", options.folder, std::string(text)}}, options);
}

}  // namespace sluice::client
