// What certificates there are and what comes next: pure, no client, clock or disk.
//
// Invariants, on which it rests that no handshake fails while anything rotates:
//   1. Whatever is served is signed by an authority that was in the bundle, in place at every
//      target, for `settle` before: a new authority is announced first and signs later.
//   2. An authority stays in the bundle until it has ended, so what it signed stays trusted. The
//      bundle has room for one that no longer signs, hence the bound on authority_renewal.
//   3. A certificate never outlives its authority.
// Keys are made with randomness, which is the one impurity.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "controller/base/authority.h"
#include "controller/base/clock.h"
#include "controller/base/status.h"
#include "controller/certs/limits.h"

namespace sluice::certs {

struct Policy {
  std::string common_name;             // of the authorities
  std::vector<std::string> dns_names;  // of the server: "x.ns.svc"; one of either at least
  std::vector<std::string> addresses;
  base::Duration authority_life = kAuthorityLife;
  base::Duration serving_life = kServingLife;
  // Age at which each is followed by the next; zero: two thirds of its life. The authority's is at
  // least half of authority_life.
  base::Duration authority_renewal{0};
  base::Duration serving_renewal{0};
};

struct State {
  base::KeyPair authority;            // signs
  std::optional<base::KeyPair> next;  // announced in the bundle, does not sign yet
  std::string previous_pem;           // trusted until it ends; empty: none
  base::KeyPair serving;
  // What clients have to trust, oldest first. It does not change when `next` takes over.
  std::string Bundle() const;
};

// The one next step, or nullopt when nothing is due. `state` is nullopt when there is none yet.
// `settled`: the state's bundle is in place at every target for long enough.
// Errors: DataLoss: the state is not readable (naming the part); InvalidArgument: the policy's
// names or authority_renewal.
base::StatusOr<std::optional<State>> Plan(const Policy& policy, const std::optional<State>& state,
                                          base::WallTime now, bool settled);

}  // namespace sluice::certs
