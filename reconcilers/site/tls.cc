#include "reconcilers/site/tls.h"

#include "api/v1alpha1/site.pb.h"

namespace sluice::site {

int TlsPort(const v1alpha1::Site& site) {
  if (!site.spec().s3().has_tls()) return 0;
  const int port = site.spec().s3().tls().port();
  return port == 0 ? 9443 : port;  // as the schema fills it in
}

const std::string& TlsSecret(const v1alpha1::Site& site) {
  return site.spec().s3().tls().secret_ref().name();
}

}  // namespace sluice::site
