#include "reconcilers/agents/issuer.h"

#include <utility>

#include "api/agent/v1/agent.pb.h"

namespace sluice::agents {

void Issuer::Set(CertificateAuthority authority, std::string trust_pem) {
  const std::lock_guard lock(mutex_);
  trust_pem_ = trust_pem.empty() ? authority.certificate_pem() : std::move(trust_pem);
  authority_.emplace(std::move(authority));
}

CertificateAuthority Issuer::authority() const {
  const std::lock_guard lock(mutex_);
  return *authority_;
}

std::string Issuer::trust_pem() const {
  const std::lock_guard lock(mutex_);
  return trust_pem_;
}

base::Status Issuer::Issue(const std::string& csr_pem, const AgentIdentity& identity,
                           agent::v1::Identity& out) const {
  SLUICE_ASSIGN_OR_RETURN(
      const auto certificate,
      authority().SignAgent(csr_pem, identity, clock_.Wall(), certificate_life_));
  const auto millis = [](base::WallTime time) {
    return std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count();
  };
  out.set_certificate_pem(certificate.certificate_pem);
  out.set_ca_pem(trust_pem());
  out.set_lineage(publisher_.record().lineage);
  out.set_not_before_unix_ms(millis(certificate.not_before));
  out.set_not_after_unix_ms(millis(certificate.not_after));
  return base::OkStatus();
}

}  // namespace sluice::agents
