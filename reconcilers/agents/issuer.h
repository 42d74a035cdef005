// Internal to this folder: agents' certificates under an authority that may be replaced. Any
// thread.
#pragma once

#include <mutex>
#include <optional>
#include <string>

#include "controller/base/clock.h"
#include "controller/base/status.h"
#include "reconcilers/agents/ca.h"
#include "reconcilers/agents/publisher.h"

namespace sluice::agent::v1 {
class Identity;
}

namespace sluice::agents {

class Issuer {
 public:
  Issuer(base::Duration certificate_life, ConfigPublisher& publisher, base::Clock& clock)
      : certificate_life_(certificate_life), publisher_(publisher), clock_(clock) {}

  // `trust_pem` empty: the authority's own certificate.
  void Set(CertificateAuthority authority, std::string trust_pem);
  CertificateAuthority authority() const;  // after Set
  std::string trust_pem() const;
  // Errors: SignAgent's.
  base::Status Issue(const std::string& csr_pem, const AgentIdentity& identity,
                     agent::v1::Identity& out) const;

 private:
  const base::Duration certificate_life_;
  ConfigPublisher& publisher_;
  base::Clock& clock_;
  mutable std::mutex mutex_;
  std::optional<CertificateAuthority> authority_;  // guarded by mutex_
  std::string trust_pem_;                          // guarded by mutex_
};

}  // namespace sluice::agents
