// The Kubernetes objects a Site stands for, in the order they are applied. Pure.
//
// Everything is in the site's own namespace sluice-site-NAME, is labelled as made by Sluice for the
// site, and is owned by the Site, so that the garbage collector finishes what we begin. In another
// cluster there is no Site, and a garbage collector takes what names an owner that is not there: an
// annotation with the Site's uid stands in. The agents'
// pods declare no ports: they use the node's network, and an upgrade can hand the socket over.
#pragma once

#include <string>
#include <vector>

#include "controller/meta/resource.h"
#include "reconcilers/site/inputs.h"

namespace sluice::site {

// What the controller was installed with.
struct AgentOptions {
  std::string image;
  std::string image_pull_policy = "IfNotPresent";
  std::vector<std::string> image_pull_secrets;  // names, in each site's namespace
  std::string seccomp_profile;     // of the nodes' kubelets; empty: the runtime's default
  std::string control_endpoint;    // host:port of the control stream, as nodes reach it
  std::string enrolment_endpoint;  // host:port of enrolment
  std::string trust_pem;           // CA certificates agents trust the controller by
};

struct WantedObject {
  meta::Resource resource;
  meta::Key key;
  std::string json;  // of the whole applied configuration
};

std::string NamespaceOf(const std::string& site);
inline constexpr const char* kSiteUidAnnotation = "sluice.dev/site-uid";  // in other clusters
inline constexpr const char* kAgentName = "sluice-agent";  // of DaemonSet, account and Services

WantedObject WantedNamespace(const Inputs& in);
// The namespace and what is in it. Needs in.site_class.
std::vector<WantedObject> WantedObjects(const Inputs& in, const AgentOptions& options);
// The site's objectives, from its class's templates.
std::vector<WantedObject> WantedObjectives(const Inputs& in);

}  // namespace sluice::site
