// Internal to this folder: getting a certificate, by token or by the certificate one has.
#pragma once

#include <string>
#include <vector>

#include "controller/base/clock.h"
#include "controller/base/status.h"
#include "datapath/control/source.h"

namespace sluice::agent::v1 {
class Identity;
}  // namespace sluice::agent::v1

namespace sluice::control {

struct HeldIdentity {
  std::string key_pem;  // secret; empty: none
  std::string certificate_pem;
  std::string ca_pem;
  std::string lineage;
  base::WallTime not_before;
  base::WallTime not_after;
  base::WallTime renew_at;
};

// From what was received or stored. Errors: InvalidArgument (no certificate, not of this key).
base::StatusOr<HeldIdentity> Hold(std::string key_pem, const agent::v1::Identity& identity,
                                  base::WallTime received);

// One call to one of the targets; both wait no longer than kCallDeadline. The answer and the new
// key are written to `key_pem` and `identity`. Errors: InvalidArgument (token or CA file);
// Unauthenticated, PermissionDenied (refused); Unavailable and the like (try again).
base::Status Enrol(const StreamOptions& options, const std::string& target, std::string& key_pem,
                   agent::v1::Identity& identity);
base::Status Renew(const StreamOptions& options, const std::string& target,
                   const std::string& roots_pem, const HeldIdentity& held, std::string& key_pem,
                   agent::v1::Identity& identity);

// gRPC targets of "host:port" names: addresses as they are, names by every address they have, in a
// stable order, at most `most`. Names that do not resolve are left out and named in `problem`.
std::vector<std::string> Resolve(const std::vector<std::string>& endpoints, std::size_t most,
                                 std::string& problem);

// "host:port", "1.2.3.4:80", "[::1]:80". Errors: InvalidArgument.
base::Status CheckEndpoint(const std::string& option, const std::string& endpoint);

}  // namespace sluice::control
