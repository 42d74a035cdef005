// TLS towards a Site's S3 clients: what the pod template, the Service and the agents' configuration
// must agree on. Pure.
//
// The controller never reads the Secret: the kubelet mounts it, optional, so that agents run
// without it, and what they see of it comes back in their Health (docs/adr/0230-tls-of-a-site.md).
#pragma once

#include <string>

namespace sluice::v1alpha1 {
class Site;
}  // namespace sluice::v1alpha1

namespace sluice::site {

// The Secret's place in the agents' pods; its entries are the files.
inline constexpr const char* kTlsFolder = "/etc/sluice/tls";
inline constexpr const char* kTlsCertificate = "tls.crt";
inline constexpr const char* kTlsKey = "tls.key";

// The port with TLS; 0: the Site asks for none.
int TlsPort(const v1alpha1::Site& site);
// The Secret's name, in the namespace of the agents.
const std::string& TlsSecret(const v1alpha1::Site& site);

}  // namespace sluice::site
