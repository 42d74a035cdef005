#include "reconcilers/agents/ca.h"

#include <fmt/format.h>

#include <algorithm>

#include "controller/base/authority.h"

namespace sluice::agents {
namespace {

constexpr std::string_view kUriSite = "spiffe://sluice.dev/site/";
constexpr std::string_view kUriNode = "/node/";

bool IsObjectName(std::string_view name) {
  return !name.empty() && name.size() <= 253 && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
  });
}

Certificate Ours(base::Certificate issued) {
  return {std::move(issued.certificate_pem), issued.not_before, issued.not_after};
}

}  // namespace

std::string IdentityUri(const AgentIdentity& identity) {
  return fmt::format("{}{}{}{}", kUriSite, identity.site, kUriNode, identity.node);
}

base::StatusOr<AgentIdentity> ParseIdentityUri(std::string_view uri) {
  const auto refused =
      base::PermissionDenied(fmt::format("\"{}\" does not name an agent", uri.substr(0, 600)));
  if (!uri.starts_with(kUriSite)) return refused;
  const auto rest = uri.substr(kUriSite.size());
  const auto at = rest.find(kUriNode);
  if (at == std::string_view::npos) return refused;
  AgentIdentity identity{std::string(rest.substr(0, at)),
                         std::string(rest.substr(at + kUriNode.size()))};
  if (!IsObjectName(identity.site) || !IsObjectName(identity.node)) return refused;
  return identity;
}

base::StatusOr<base::WallTime> NotAfter(const std::string& certificate_pem) {
  return base::NotAfter(certificate_pem);
}

struct CertificateAuthority::Impl {
  base::CertificateAuthority authority;
};

base::StatusOr<KeyPair> CertificateAuthority::Create(const std::string& common_name,
                                                     base::WallTime now, base::Duration life) {
  SLUICE_ASSIGN_OR_RETURN(auto made, base::CertificateAuthority::Create(common_name, now, life));
  return KeyPair{std::move(made.certificate_pem), std::move(made.key_pem)};
}

base::StatusOr<CertificateAuthority> CertificateAuthority::Load(const KeyPair& pair) {
  SLUICE_ASSIGN_OR_RETURN(auto authority,
                          base::CertificateAuthority::Load({pair.certificate_pem, pair.key_pem}));
  return CertificateAuthority(std::make_shared<const Impl>(Impl{std::move(authority)}));
}

base::StatusOr<ServerCertificate> CertificateAuthority::IssueServer(
    const std::vector<std::string>& dns_names, base::WallTime now, base::Duration life) const {
  SLUICE_ASSIGN_OR_RETURN(auto issued, impl_->authority.IssueServer(dns_names, now, life));
  return ServerCertificate{Ours(std::move(issued.certificate)), std::move(issued.key_pem)};
}

base::StatusOr<Certificate> CertificateAuthority::SignAgent(const std::string& csr_pem,
                                                            const AgentIdentity& identity,
                                                            base::WallTime now,
                                                            base::Duration life) const {
  if (!IsObjectName(identity.site) || !IsObjectName(identity.node)) {
    return base::InvalidArgument("site or node is not an object's name");
  }
  SLUICE_ASSIGN_OR_RETURN(
      auto issued,
      impl_->authority.SignClient(csr_pem, identity.node, IdentityUri(identity), now, life));
  return Ours(std::move(issued));
}

const std::string& CertificateAuthority::certificate_pem() const {
  return impl_->authority.certificate_pem();
}
base::WallTime CertificateAuthority::not_after() const { return impl_->authority.not_after(); }

std::string CertificateAuthority::DeriveKey(std::string_view purpose) const {
  return impl_->authority.DeriveKey(purpose);
}

}  // namespace sluice::agents
