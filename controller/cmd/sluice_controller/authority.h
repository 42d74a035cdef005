// The controller's certificate authority, kept in a Secret that all replicas share.
//
// Secret `sluice-ca` in the controller's namespace (type Opaque):
//   ca.crt, ca.key              the authority in use
//   previous.crt                the one before, trusted until it ends (optional)
//   version.key                 key of the configurations' digests; stays when the authority
//   rotates,
//                               so that all replicas derive the same versions meanwhile
// Whichever replica comes first makes it. `Rotated` gives the next content when two thirds of the
// authority's life are over: the new one signs, the old one stays trusted, so agents that have only
// the old bundle still connect until they have read the new one.
//
// Thread rule: any thread.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "controller/base/clock.h"
#include "controller/client/client.h"
#include "reconcilers/agents/ca.h"

namespace sluice::controller_main {

inline constexpr const char* kAuthoritySecret = "sluice-ca";
inline constexpr std::chrono::hours kAuthorityLife{24 * 365 * 5};

const meta::Resource& SecretResource();

struct Authority {
  agents::KeyPair pair;
  std::string previous_pem;  // empty: none
  std::string version_key;   // secret
  // What agents have to trust.
  std::string TrustPem() const { return pair.certificate_pem + previous_pem; }
};

// Errors: DataLoss naming the Secret's key.
// Without a version.key (a Secret made by hand) the key is derived from the authority's.
base::StatusOr<Authority> ReadAuthority(const meta::Object& secret);
nlohmann::json AuthoritySecret(const std::string& ns, const Authority& authority);

// The Secret's content, made when there is none. Errors: the client's; DataLoss.
base::StatusOr<Authority> EnsureAuthority(client::Reader& reader, client::Writer& writer,
                                          const std::string& ns, base::WallTime now);

// Whether an error of EnsureAuthority may pass while we wait: the API server is away, or a right is
// missing and will be granted. What the Secret says does not pass by itself.
bool MayPass(const base::Status& status);

// The next authority when it is time for it, nullopt otherwise.
base::StatusOr<std::optional<Authority>> Rotated(const Authority& current, base::WallTime now);

}  // namespace sluice::controller_main
