#include "reconcilers/site/objects.h"

#include <nlohmann/json.hpp>

#include "api/types/json_codec.h"
#include "api/types/kinds.h"
#include "api/v1alpha1/site.pb.h"
#include "api/v1alpha1/site_class.pb.h"
#include "controller/meta/owner.h"
#include "controller/meta/quantity.h"
#include "reconcilers/common/resources.h"
#include "reconcilers/site/pod.h"
#include "reconcilers/site/tls.h"

namespace sluice::site {
namespace {

using nlohmann::json;

json Metadata(const Inputs& in, const meta::Resource& resource, const std::string& name) {
  json metadata = {{"name", name},
                   {"labels",
                    {{common::kManagedByLabel, common::kManagedBy},
                     {"app.kubernetes.io/name", kAgentName},
                     {std::string(types::kSiteLabel), in.name}}}};
  // Objectives stay beside their Site.
  if (in.elsewhere && resource != common::kObjectives) {
    metadata["annotations"] = {{kSiteUidAnnotation, in.object->uid()}};
  } else {
    metadata["ownerReferences"] =
        json::array({meta::MakeControllerReference(common::kSites, *in.object)});
  }
  if (resource.namespaced) metadata["namespace"] = NamespaceOf(in.name);
  return metadata;
}

WantedObject Make(const Inputs& in, const meta::Resource& resource, const std::string& name,
                  json rest) {
  json object = {{"apiVersion", resource.ApiVersion()},
                 {"kind", resource.kind},
                 {"metadata", Metadata(in, resource, name)}};
  if (rest.contains("labels")) {
    object["metadata"]["labels"].update(rest["labels"]);
    rest.erase("labels");
  }
  object.update(rest);
  return {resource, {resource.namespaced ? NamespaceOf(in.name) : "", name}, object.dump()};
}

json Selector(const Inputs& in) {
  return {{"app.kubernetes.io/name", kAgentName}, {std::string(types::kSiteLabel), in.name}};
}

json ServicePort(const char* name, int port) {
  return {{"name", name}, {"port", port}, {"protocol", "TCP"}, {"targetPort", port}};
}

json Services(const Inputs& in, json ports, json extra) {
  json spec = {{"selector", Selector(in)}, {"ports", std::move(ports)}};
  spec.update(extra);
  return {{"spec", std::move(spec)}};
}

json DaemonSet(const Inputs& in, const AgentOptions& options) {
  const v1alpha1::UpdatePolicy& updates = in.site->spec().updates();
  const std::string& text = updates.max_unavailable();
  json max_unavailable = 1;
  if (!text.empty() && text.back() == '%') {
    max_unavailable = text;
  } else if (const auto count = meta::Quantity::Parse(text); count.ok()) {
    max_unavailable = count->CeilValue();
  }
  json strategy = {{"type", "RollingUpdate"},
                   {"rollingUpdate", {{"maxUnavailable", max_unavailable}, {"maxSurge", 0}}}};
  // A Rollout says how many nodes may have the template; pods are replaced by hand (mover.h).
  if (in.partition.active) strategy = {{"type", "OnDelete"}};
  return {{"spec",
           {{"selector", {{"matchLabels", Selector(in)}}},
            {"updateStrategy", std::move(strategy)},
            {"minReadySeconds", kReadyFor.count()},
            {"template", AgentPod(in, options)}}}};
}

}  // namespace

std::string NamespaceOf(const std::string& site) { return "sluice-site-" + site; }

// Agents use the node's network and folders, which the stricter pod security levels forbid.
WantedObject WantedNamespace(const Inputs& in) {
  return Make(in, common::kNamespaces, NamespaceOf(in.name),
              {{"labels", {{"pod-security.kubernetes.io/enforce", "privileged"}}}});
}

std::vector<WantedObject> WantedObjects(const Inputs& in, const AgentOptions& options) {
  const v1alpha1::AgentProfile& profile = in.site_class->spec().agent();
  std::vector<WantedObject> out;
  out.push_back(WantedNamespace(in));
  out.push_back(
      Make(in, common::kServiceAccounts, kAgentName, {{"automountServiceAccountToken", false}}));
  out.push_back(
      Make(in, common::kConfigMaps, "sluice-ca", {{"data", {{"ca.crt", options.trust_pem}}}}));
  out.push_back(Make(in, common::kDaemonSets, kAgentName, DaemonSet(in, options)));
  // For a pod that knows only names: routed to the agent of its own node, or nowhere.
  json s3 = json::array({ServicePort("s3", profile.s3_port())});
  if (const int tls = TlsPort(*in.site); tls != 0) s3.push_back(ServicePort("s3-tls", tls));
  out.push_back(Make(in, common::kServices, "s3",
                     Services(in, std::move(s3), {{"internalTrafficPolicy", "Local"}})));
  out.push_back(Make(in, common::kServices, "metrics",
                     Services(in, json::array({ServicePort("metrics", profile.metrics_port())}),
                              {{"clusterIP", "None"},
                               // An agent that is not ready is still measured.
                               {"publishNotReadyAddresses", true}})));
  return out;
}

std::vector<WantedObject> WantedObjectives(const Inputs& in) {
  std::vector<WantedObject> out;
  if (in.site_class == nullptr) return out;
  for (const v1alpha1::SloTemplate& objective : in.site_class->spec().slo_templates()) {
    json spec = types::ToJson(objective);
    spec.erase("name");
    spec["subjectRef"] = {{"kind", "Site"}, {"name", in.name}};
    out.push_back(Make(in, common::kObjectives, in.name + "-" + objective.name(),
                       {{"spec", std::move(spec)}}));
  }
  return out;
}

}  // namespace sluice::site
