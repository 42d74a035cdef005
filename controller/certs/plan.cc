#include "controller/certs/plan.h"

namespace sluice::certs {

using base::CertificateAuthority;
using base::KeyPair;
using base::StatusOr;

namespace {

StatusOr<CertificateAuthority> Load(const KeyPair& pair, const char* part) {
  auto loaded = CertificateAuthority::Load(pair);
  if (!loaded.ok()) return base::DataLoss(std::string(part) + ": " + loaded.status().message());
  return loaded;
}

StatusOr<base::Validity> Read(const std::string& pem, const char* part) {
  auto validity = base::ValidityOf(pem);
  if (!validity.ok()) return base::DataLoss(std::string(part) + ": " + validity.status().message());
  return validity;
}

// Backdating is no part of a certificate's age.
bool IsDue(const base::Validity& validity, base::Duration renewal, base::WallTime now) {
  const base::WallTime from = validity.not_before + base::kCertificateBackdate;
  const base::Duration age =
      renewal.count() > 0 ? renewal : base::Duration(validity.not_after - from) / 3 * 2;
  return now - from >= age || now >= validity.not_after;
}

StatusOr<KeyPair> Issue(const Policy& policy, const CertificateAuthority& authority,
                        base::WallTime now) {
  SLUICE_ASSIGN_OR_RETURN(
      auto issued,
      authority.IssueServer(policy.dns_names, now, policy.serving_life, policy.addresses));
  return KeyPair{std::move(issued.certificate.certificate_pem), std::move(issued.key_pem)};
}

StatusOr<std::optional<State>> Fresh(const Policy& policy, base::WallTime now) {
  State fresh;
  SLUICE_ASSIGN_OR_RETURN(fresh.authority, CertificateAuthority::Create(policy.common_name, now,
                                                                        policy.authority_life));
  SLUICE_ASSIGN_OR_RETURN(const auto authority, CertificateAuthority::Load(fresh.authority));
  SLUICE_ASSIGN_OR_RETURN(fresh.serving, Issue(policy, authority, now));
  return std::optional(std::move(fresh));
}

}  // namespace

std::string State::Bundle() const {
  return previous_pem + authority.certificate_pem + (next ? next->certificate_pem : "");
}

StatusOr<std::optional<State>> Plan(const Policy& policy, const std::optional<State>& state,
                                    base::WallTime now, bool settled) {
  // Otherwise a second takeover would come while the authority before the first is still valid.
  if (policy.authority_renewal.count() > 0 &&
      policy.authority_renewal < policy.authority_life / 2) {
    return base::InvalidArgument(
        "authority_renewal must be at least half of authority_life: raise it, shorten "
        "authority_life, or leave it zero for two thirds of that");
  }
  if (!state) return Fresh(policy, now);
  SLUICE_ASSIGN_OR_RETURN(const auto authority, Load(state->authority, "authority"));
  // Nobody led for very long: nothing of it is trusted any more, so nothing is lost.
  if (now >= authority.not_after()) return Fresh(policy, now);

  State after = *state;
  if (state->next && settled) {
    SLUICE_ASSIGN_OR_RETURN(const auto next, Load(*state->next, "next"));
    after.previous_pem = state->authority.certificate_pem;
    after.authority = *state->next;
    after.next.reset();
    SLUICE_ASSIGN_OR_RETURN(after.serving, Issue(policy, next, now));
    return std::optional(std::move(after));
  }
  if (!state->previous_pem.empty()) {
    SLUICE_ASSIGN_OR_RETURN(const auto previous, Read(state->previous_pem, "previous"));
    if (now >= previous.not_after) {
      after.previous_pem.clear();
      return std::optional(std::move(after));
    }
  }
  SLUICE_ASSIGN_OR_RETURN(const auto signer, Read(state->authority.certificate_pem, "authority"));
  if (!state->next && IsDue(signer, policy.authority_renewal, now)) {
    SLUICE_ASSIGN_OR_RETURN(
        after.next, CertificateAuthority::Create(policy.common_name, now, policy.authority_life));
    return std::optional(std::move(after));
  }
  SLUICE_ASSIGN_OR_RETURN(const auto serving, Read(state->serving.certificate_pem, "serving"));
  // One that ends with its authority gains nothing by being issued again.
  if ((IsDue(serving, policy.serving_renewal, now) && serving.not_after < authority.not_after()) ||
      !base::KeyMatches(state->serving.key_pem, state->serving.certificate_pem) ||
      !authority.Signed(state->serving.certificate_pem) ||
      !base::CertificateCovers(state->serving.certificate_pem, policy.dns_names,
                               policy.addresses)) {
    SLUICE_ASSIGN_OR_RETURN(after.serving, Issue(policy, authority, now));
    return std::optional(std::move(after));
  }
  return std::optional<State>();
}

}  // namespace sluice::certs
