#include "datapath/control/identity.h"

#include <algorithm>
#include <functional>

#include "controller/base/certificate.h"

namespace sluice::control {

base::StatusOr<KeyAndRequest> MakeRequest() {
  SLUICE_ASSIGN_OR_RETURN(auto made, base::MakeCertificateRequest());
  return KeyAndRequest{std::move(made.key_pem), std::move(made.csr_pem)};
}

bool Matches(const std::string& key_pem, const std::string& certificate_pem) {
  return base::KeyMatches(key_pem, certificate_pem);
}

base::WallTime RenewAt(base::WallTime received, const Validity& validity,
                       std::string_view certificate) {
  const auto from = std::max(received, validity.not_before);
  if (from >= validity.not_after) return validity.not_after;
  constexpr int kPlaces = 1024;
  const auto place = static_cast<int>(std::hash<std::string_view>{}(certificate) % kPlaces);
  const auto left = validity.not_after - from;
  return from + left * 2 / 5 + left / 5 / kPlaces * place;
}

}  // namespace sluice::control
