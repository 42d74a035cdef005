#include "controller/cmd/sluice_controller/authority.h"

#include <nlohmann/json.hpp>

#include "controller/base/digest.h"

namespace sluice::controller_main {

using base::StatusOr;
using nlohmann::json;

namespace {

constexpr const char* kCommonName = "sluice agents' authority";
constexpr const char* kVersionPurpose = "configuration version";

StatusOr<std::string> Value(const json& secret, const char* key, bool required) {
  const auto data = secret.find("data");
  if (data == secret.end() || !data->is_object() || !data->contains(key)) {
    if (!required) return std::string();
    return base::DataLoss(std::string("Secret ") + kAuthoritySecret + ": no key " + key);
  }
  const auto decoded = base::Base64Decode((*data)[key].get<std::string>());
  if (!decoded.ok()) {
    return base::DataLoss(std::string("Secret ") + kAuthoritySecret + ": key " + key +
                          " is not base64");
  }
  return *decoded;
}

StatusOr<Authority> Fresh(base::WallTime now) {
  SLUICE_ASSIGN_OR_RETURN(auto pair,
                          agents::CertificateAuthority::Create(kCommonName, now, kAuthorityLife));
  SLUICE_ASSIGN_OR_RETURN(const auto loaded, agents::CertificateAuthority::Load(pair));
  return Authority{std::move(pair), "", loaded.DeriveKey(kVersionPurpose)};
}

}  // namespace

const meta::Resource& SecretResource() {
  static const meta::Resource resource{"", "v1", "Secret", "secrets", true};
  return resource;
}

StatusOr<Authority> ReadAuthority(const meta::Object& secret) {
  const json whole = secret.ToJson();
  Authority authority;
  SLUICE_ASSIGN_OR_RETURN(authority.pair.certificate_pem, Value(whole, "ca.crt", true));
  SLUICE_ASSIGN_OR_RETURN(authority.pair.key_pem, Value(whole, "ca.key", true));
  SLUICE_ASSIGN_OR_RETURN(authority.previous_pem, Value(whole, "previous.crt", false));
  SLUICE_ASSIGN_OR_RETURN(authority.version_key, Value(whole, "version.key", false));
  if (authority.version_key.empty()) {
    SLUICE_ASSIGN_OR_RETURN(const auto loaded, agents::CertificateAuthority::Load(authority.pair));
    authority.version_key = loaded.DeriveKey(kVersionPurpose);
  }
  return authority;
}

json AuthoritySecret(const std::string& ns, const Authority& authority) {
  json data = {{"ca.crt", base::Base64Encode(authority.pair.certificate_pem)},
               {"ca.key", base::Base64Encode(authority.pair.key_pem)},
               {"version.key", base::Base64Encode(authority.version_key)}};
  if (!authority.previous_pem.empty()) {
    data["previous.crt"] = base::Base64Encode(authority.previous_pem);
  }
  return {{"apiVersion", "v1"},
          {"kind", "Secret"},
          {"type", "Opaque"},
          {"metadata",
           {{"namespace", ns},
            {"name", kAuthoritySecret},
            {"labels", {{"app.kubernetes.io/name", "sluice"}}}}},
          {"data", data}};
}

StatusOr<Authority> EnsureAuthority(client::Reader& reader, client::Writer& writer,
                                    const std::string& ns, base::WallTime now) {
  const meta::Key key{ns, kAuthoritySecret};
  auto got = reader.Get(SecretResource(), key);
  if (!got.ok() && got.status().code() == base::Code::kNotFound) {
    SLUICE_ASSIGN_OR_RETURN(const Authority fresh, Fresh(now));
    got = writer.Create(SecretResource(), AuthoritySecret(ns, fresh));
    // Another replica was first: its authority is the one.
    if (!got.ok() && got.status().code() == base::Code::kAlreadyExists) {
      got = reader.Get(SecretResource(), key);
    }
  }
  if (!got.ok()) return got.status().Annotate("the certificate authority's Secret");
  return ReadAuthority(**got);
}

bool MayPass(const base::Status& status) {
  return !status.ok() && status.code() != base::Code::kDataLoss &&
         status.code() != base::Code::kInvalidArgument;
}

StatusOr<std::optional<Authority>> Rotated(const Authority& current, base::WallTime now) {
  SLUICE_ASSIGN_OR_RETURN(const base::WallTime end, agents::NotAfter(current.pair.certificate_pem));
  if (end - now > kAuthorityLife / 3) return std::optional<Authority>();
  SLUICE_ASSIGN_OR_RETURN(Authority next, Fresh(now));
  next.previous_pem = current.pair.certificate_pem;
  next.version_key = current.version_key;
  return std::optional<Authority>(std::move(next));
}

}  // namespace sluice::controller_main
