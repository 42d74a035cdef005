#include "datapath/control/identity.h"

#include <algorithm>

#include "controller/base/certificate.h"

namespace sluice::control {

base::StatusOr<KeyAndRequest> MakeRequest() {
  SLUICE_ASSIGN_OR_RETURN(auto made, base::MakeCertificateRequest());
  return KeyAndRequest{std::move(made.key_pem), std::move(made.csr_pem)};
}

bool Matches(const std::string& key_pem, const std::string& certificate_pem) {
  return base::KeyMatches(key_pem, certificate_pem);
}

base::WallTime RenewAt(base::WallTime received, const Validity& validity) {
  const auto from = std::max(received, validity.not_before);
  if (from >= validity.not_after) return validity.not_after;
  return from + (validity.not_after - from) / 2;
}

}  // namespace sluice::control
