// Internal to this folder: the agent's key, its certificate request, and when to renew.
// Source: RFC 2986 (PKCS#10). Pure but for randomness; any thread.
#pragma once

#include <string>
#include <string_view>

#include "controller/base/clock.h"
#include "controller/base/status.h"

namespace sluice::control {

struct KeyAndRequest {
  std::string key_pem;  // secret; P-256
  std::string csr_pem;  // says nothing but the public key: the controller knows who we are
};
base::StatusOr<KeyAndRequest> MakeRequest();

// Whether the certificate belongs to the key; false for what is neither.
bool Matches(const std::string& key_pem, const std::string& certificate_pem);

struct Validity {
  base::WallTime not_before;
  base::WallTime not_after;
};
// After 40 to 60 % of the life that was left when it came; never later than the end. `certificate`
// is what differs between those that came at one time: agents enrolled together would otherwise
// renew together, and dial every replica anew together, for ever. The same one has the same place.
base::WallTime RenewAt(base::WallTime received, const Validity& validity,
                       std::string_view certificate);

}  // namespace sluice::control
