#include "reconcilers/site/pod.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>

#include "api/types/kinds.h"
#include "api/v1alpha1/site.pb.h"
#include "api/v1alpha1/site_class.pb.h"
#include "controller/base/digest.h"
#include "controller/meta/quantity.h"
#include "reconcilers/site/tls.h"

namespace sluice::site {
namespace {

using nlohmann::json;

constexpr std::int64_t kMi = 1 << 20;
// Beside the cache's own pool: program, connections, TLS, configuration.
constexpr std::int64_t kOverheadBytes = 256 * kMi;
// A pool that leaves room for both, and for rounding up: 8Ei is a memory that can be written.
constexpr std::int64_t kMostBytes = std::numeric_limits<std::int64_t>::max() - kOverheadBytes - kMi;
// Beyond the agent's own drain: for the kubelet's rounds and the last write to disk.
constexpr int kGraceBeyondDrain = 15;

// As the API server writes it back (the largest binary suffix that divides it); any other form
// would look like drift at every look.
std::string CanonicalBytes(std::int64_t mebibytes) {
  const char* suffix = "Mi";
  for (const char* larger : {"Gi", "Ti", "Pi"}) {
    if (mebibytes % 1024 != 0) break;
    mebibytes /= 1024;
    suffix = larger;
  }
  return fmt::format("{}{}", mebibytes, suffix);
}

json HostFolder(const std::string& name, const std::string& path) {
  return {{"name", name}, {"hostPath", {{"path", path}, {"type", "DirectoryOrCreate"}}}};
}

json Mount(const std::string& name, const std::string& path, bool read_only = false) {
  json mount = {{"name", name}, {"mountPath", path}};
  if (read_only) mount["readOnly"] = true;
  return mount;
}

// Optional: agents serve without it until it comes, and the kubelet brings what changes.
json TlsVolume(const v1alpha1::Site& site) {
  json items = json::array();
  for (const char* entry : {kTlsCertificate, kTlsKey})
    items.push_back({{"key", entry}, {"path", entry}});
  return {{"name", "s3-tls"},
          {"secret",
           {{"secretName", TlsSecret(site)},
            {"optional", true},
            {"defaultMode", 0400},
            {"items", std::move(items)}}}};
}

json Volumes(const Inputs& in) {
  const v1alpha1::AgentProfile& profile = in.site_class->spec().agent();
  json volumes = json::array({HostFolder("state", "/var/lib/sluice"),
                              HostFolder("run", "/run/sluice"),
                              {{"name", "ca"}, {"configMap", {{"name", "sluice-ca"}}}},
                              {{"name", "token"},
                               {"projected",
                                {{"sources", json::array({{{"serviceAccountToken",
                                                            {{"audience", "sluice"},
                                                             {"expirationSeconds", 3600},
                                                             {"path", "token"}}}}})}}}}});
  for (int i = 0; i < profile.disk_paths_size(); ++i) {
    volumes.push_back(HostFolder(fmt::format("disk-{}", i), profile.disk_paths(i)));
  }
  if (TlsPort(*in.site) != 0) volumes.push_back(TlsVolume(*in.site));
  return volumes;
}

json Mounts(const Inputs& in) {
  const v1alpha1::AgentProfile& profile = in.site_class->spec().agent();
  json mounts = json::array({Mount("state", "/var/lib/sluice"), Mount("run", "/run/sluice"),
                             Mount("ca", "/etc/sluice/ca", true),
                             Mount("token", "/var/run/secrets/sluice", true)});
  for (int i = 0; i < profile.disk_paths_size(); ++i) {
    mounts.push_back(Mount(fmt::format("disk-{}", i), profile.disk_paths(i)));
  }
  if (TlsPort(*in.site) != 0) mounts.push_back(Mount("s3-tls", kTlsFolder, true));
  return mounts;
}

json Probe(int port, const char* path, int period, int failures) {
  return {{"httpGet", {{"path", path}, {"port", port}, {"scheme", "HTTP"}}},
          {"periodSeconds", period},
          {"timeoutSeconds", 2},
          {"failureThreshold", failures}};
}

json Tolerations(const v1alpha1::AgentProfile& profile) {
  // GPU nodes are tainted so that only GPU work lands there; the agent serves that work.
  json out = json::array({{{"key", "nvidia.com/gpu"}, {"operator", "Exists"}}});
  for (const v1alpha1::Toleration& from : profile.tolerations()) {
    json toleration = {{"operator", from.operator_().empty() ? "Equal" : from.operator_()}};
    if (!from.key().empty()) toleration["key"] = from.key();
    if (!from.value().empty()) toleration["value"] = from.value();
    if (!from.effect().empty()) toleration["effect"] = from.effect();
    out.push_back(std::move(toleration));
  }
  return out;
}

std::string ControlEndpoint(const Inputs& in, const AgentOptions& options) {
  const std::string& own = in.site->spec().control().endpoint();
  return own.empty() ? options.control_endpoint : own;
}

// At the host that the Site names for the stream, if it names one.
std::string EnrolmentEndpoint(const Inputs& in, const AgentOptions& options) {
  const std::string& own = in.site->spec().control().endpoint();
  if (own.empty()) return options.enrolment_endpoint;
  return own.substr(0, own.rfind(':')) +
         options.enrolment_endpoint.substr(options.enrolment_endpoint.rfind(':'));
}

json SeccompProfile(const AgentOptions& options) {
  if (options.seccomp_profile.empty()) return {{"type", "RuntimeDefault"}};
  return {{"type", "Localhost"}, {"localhostProfile", options.seccomp_profile}};
}

json Container(const Inputs& in, const AgentOptions& options) {
  const v1alpha1::AgentProfile& profile = in.site_class->spec().agent();
  const v1alpha1::AgentRelease& release = in.site->spec().release();
  const auto memory = meta::Quantity::Parse(profile.memory());
  const std::int64_t bytes = memory.ok() ? std::min(memory->CeilValue(), kMostBytes) : 0;
  const std::string memory_text = CanonicalBytes((bytes + kOverheadBytes + kMi - 1) / kMi);
  return {{"name", "agent"},
          {"image", release.image().empty() ? options.image : release.image()},
          {"imagePullPolicy", release.image_pull_policy().empty() ? options.image_pull_policy
                                                                  : release.image_pull_policy()},
          {"args", json::array({"--site",
                                in.name,
                                "--node",
                                "$(NODE_NAME)",
                                "--control",
                                ControlEndpoint(in, options),
                                "--enrolment",
                                EnrolmentEndpoint(in, options),
                                "--ca-file",
                                "/etc/sluice/ca/ca.crt",
                                "--token-file",
                                "/var/run/secrets/sluice/token",
                                "--state-dir",
                                "/var/lib/sluice",
                                "--run-dir",
                                "/run/sluice",
                                "--metrics",
                                fmt::format("0.0.0.0:{}", profile.metrics_port()),
                                "--drain-seconds",
                                std::to_string(in.site->spec().updates().drain_seconds() > 0
                                                   ? in.site->spec().updates().drain_seconds()
                                                   : 30)})},
          {"env", json::array({{{"name", "NODE_NAME"},
                                {"valueFrom", {{"fieldRef", {{"fieldPath", "spec.nodeName"}}}}}}})},
          {"resources",
           {{"requests", {{"cpu", "100m"}, {"memory", memory_text}}},
            {"limits", {{"memory", memory_text}}}}},
          // Folders the kubelet makes on the node belong to root, so root it is, without any
          // capability.
          {"securityContext",
           {{"runAsUser", 0},
            {"runAsGroup", 0},
            {"allowPrivilegeEscalation", false},
            {"readOnlyRootFilesystem", true},
            {"capabilities", {{"drop", json::array({"ALL"})}}},
            {"seccompProfile", SeccompProfile(options)}}},
          {"startupProbe", Probe(profile.metrics_port(), "/healthz", 1, 60)},
          {"livenessProbe", Probe(profile.metrics_port(), "/healthz", 10, 6)},
          {"readinessProbe", Probe(profile.metrics_port(), "/readyz", 2, 2)},
          {"volumeMounts", Mounts(in)}};
}

}  // namespace

json AgentPod(const Inputs& in, const AgentOptions& options) {
  const v1alpha1::AgentProfile& profile = in.site_class->spec().agent();
  const int drain = in.site->spec().updates().drain_seconds();
  json node_selector = json::object();
  for (const auto& [key, value] : in.site->spec().node_selector()) node_selector[key] = value;
  json pod = {
      {"metadata",
       {{"labels",
         {{"app.kubernetes.io/name", kAgentName}, {std::string(types::kSiteLabel), in.name}}},
        {"annotations",
         {{"prometheus.io/scrape", "true"},
          {"prometheus.io/port", std::to_string(profile.metrics_port())}}}}},
      {"spec",
       {{"serviceAccountName", kAgentName},
        {"automountServiceAccountToken", false},
        {"hostNetwork", true},
        {"dnsPolicy", "ClusterFirstWithHostNet"},
        {"priorityClassName", "system-node-critical"},
        {"terminationGracePeriodSeconds", (drain > 0 ? drain : 30) + kGraceBeyondDrain},
        {"nodeSelector", std::move(node_selector)},
        {"tolerations", Tolerations(profile)},
        {"containers", json::array({Container(in, options)})},
        {"volumes", Volumes(in)}}}};
  // A listener needs a restart, and nothing else of a template would tell of another port.
  if (const int port = TlsPort(*in.site); port != 0) {
    pod["metadata"]["annotations"]["sluice.dev/s3-tls-port"] = std::to_string(port);
  }
  for (const std::string& secret : options.image_pull_secrets) {
    pod["spec"]["imagePullSecrets"].push_back({{"name", secret}});
  }
  return pod;
}

}  // namespace sluice::site
