#include "controller/certs/secret_form.h"

#include <nlohmann/json.hpp>

#include "controller/base/digest.h"

namespace sluice::certs {

using base::StatusOr;
using nlohmann::json;

namespace {

StatusOr<std::string> Value(const json& data, const char* key, bool required) {
  const auto found = data.find(key);
  if (found == data.end() || !found->is_string()) {
    if (!required) return std::string();
    return base::DataLoss(std::string("no key ") + key);
  }
  auto decoded = base::Base64Decode(found->get<std::string>());
  if (!decoded.ok()) return base::DataLoss(std::string("key ") + key + " is not base64");
  return decoded;
}

void Put(json& data, const char* key, const std::string& value) {
  if (value.empty()) {
    data.erase(key);
  } else {
    data[key] = base::Base64Encode(value);
  }
}

}  // namespace

const meta::Resource& SecretResource() {
  static const meta::Resource resource{"", "v1", "Secret", "secrets", true};
  return resource;
}

StatusOr<State> ReadSecret(const meta::Object& secret) {
  const json whole = secret.ToJson();
  const auto found = whole.find("data");
  const json data = found != whole.end() && found->is_object() ? *found : json::object();
  State state;
  base::KeyPair next;
  SLUICE_ASSIGN_OR_RETURN(state.authority.certificate_pem, Value(data, "authority.crt", true));
  SLUICE_ASSIGN_OR_RETURN(state.authority.key_pem, Value(data, "authority.key", true));
  SLUICE_ASSIGN_OR_RETURN(state.serving.certificate_pem, Value(data, "tls.crt", true));
  SLUICE_ASSIGN_OR_RETURN(state.serving.key_pem, Value(data, "tls.key", true));
  SLUICE_ASSIGN_OR_RETURN(state.previous_pem, Value(data, "previous.crt", false));
  SLUICE_ASSIGN_OR_RETURN(next.certificate_pem, Value(data, "next.crt", false));
  SLUICE_ASSIGN_OR_RETURN(next.key_pem, Value(data, "next.key", false));
  if (!next.certificate_pem.empty()) state.next = std::move(next);
  return state;
}

void WriteSecret(const State& state, json& secret) {
  json& data = secret["data"];
  if (!data.is_object()) data = json::object();
  Put(data, "authority.crt", state.authority.certificate_pem);
  Put(data, "authority.key", state.authority.key_pem);
  Put(data, "next.crt", state.next ? state.next->certificate_pem : "");
  Put(data, "next.key", state.next ? state.next->key_pem : "");
  Put(data, "previous.crt", state.previous_pem);
  Put(data, "tls.crt", state.serving.certificate_pem);
  Put(data, "tls.key", state.serving.key_pem);
  Put(data, "ca.crt", state.Bundle());
}

}  // namespace sluice::certs
