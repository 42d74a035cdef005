#include "reconcilers/common/credentials.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "controller/base/digest.h"
#include "reconcilers/common/resources.h"

namespace sluice::common {
namespace {

constexpr std::size_t kMaxForeignSecrets = 10'000;

base::StatusOr<std::optional<std::string>> Decoded(const nlohmann::json& data,
                                                   const std::string& key,
                                                   const meta::Object& secret) {
  const auto found = data.find(key);
  if (found == data.end() || !found->is_string()) return std::optional<std::string>();
  auto value = base::Base64Decode(found->get_ref<const std::string&>());
  if (!value.ok()) {
    return base::InvalidArgument(
        fmt::format("Secret {}: key {} is not base64", secret.key().ToString(), key));
  }
  return std::optional<std::string>(std::move(value).value());
}

// What agents take (datapath/control/validate.cc): one Secret they refuse would hold up the
// configuration of the whole site, and so of its other tenants.
base::Status CheckForm(const S3Keys& keys, const std::string& suffix, const meta::Object& secret) {
  const auto allowed = [](char c) {
    return c > ' ' && c < 0x7f && c != '/' && c != ',' && c != '"' && c != '\\';
  };
  const auto refuse = [&](const char* name, const char* why) {
    return base::InvalidArgument(
        fmt::format("Secret {}: key {}{} {}", secret.key().ToString(), name, suffix, why));
  };
  if (keys.access_key_id.size() > 128 ||
      !std::all_of(keys.access_key_id.begin(), keys.access_key_id.end(), allowed)) {
    return refuse("AWS_ACCESS_KEY_ID",
                  "is longer than 128 bytes, or holds a space, a line's end or another character "
                  "that S3 does not allow");
  }
  if (keys.secret_access_key.size() > 1024) {
    return refuse("AWS_SECRET_ACCESS_KEY", "is longer than 1024 bytes");
  }
  if (keys.session_token.size() > 8192) {
    return refuse("AWS_SESSION_TOKEN", "is longer than 8192 bytes");
  }
  return base::OkStatus();
}

base::StatusOr<std::optional<S3Keys>> KeysWithSuffix(const nlohmann::json& data,
                                                     const std::string& suffix,
                                                     const meta::Object& secret) {
  S3Keys keys;
  const auto read = [&](const char* name, std::string& into) -> base::StatusOr<bool> {
    SLUICE_ASSIGN_OR_RETURN(auto value, Decoded(data, name + suffix, secret));
    if (!value.has_value() || value->empty()) return false;
    into = *std::move(value);
    return true;
  };
  SLUICE_ASSIGN_OR_RETURN(const bool id, read("AWS_ACCESS_KEY_ID", keys.access_key_id));
  SLUICE_ASSIGN_OR_RETURN(const bool key, read("AWS_SECRET_ACCESS_KEY", keys.secret_access_key));
  SLUICE_ASSIGN_OR_RETURN(const bool token, read("AWS_SESSION_TOKEN", keys.session_token));
  static_cast<void>(token);
  if (!id && !key) return std::optional<S3Keys>();
  if (!id || !key) {
    return base::InvalidArgument(fmt::format("Secret {}: key AWS_{}{} is missing or empty",
                                             secret.key().ToString(),
                                             id ? "SECRET_ACCESS_KEY" : "ACCESS_KEY_ID", suffix));
  }
  SLUICE_RETURN_IF_ERROR(CheckForm(keys, suffix, secret));
  return std::optional<S3Keys>(std::move(keys));
}

}  // namespace

base::StatusOr<std::vector<S3Keys>> ParseS3Keys(const meta::Object& secret) {
  const nlohmann::json data = secret.ToJson().value("data", nlohmann::json::object());
  std::vector<S3Keys> all;
  for (const char* suffix : {"", "_PREVIOUS"}) {
    SLUICE_ASSIGN_OR_RETURN(auto keys, KeysWithSuffix(data, suffix, secret));
    // While keys rotate both may stand there under one id: the new one counts.
    if (keys.has_value() && (all.empty() || all[0].access_key_id != keys->access_key_id)) {
      all.push_back(*std::move(keys));
    }
    if (all.empty()) {
      return base::InvalidArgument(
          fmt::format("Secret {}: keys AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are missing",
                      secret.key().ToString()));
    }
  }
  return all;
}

base::StatusOr<std::string> SecretValue(const meta::Object& secret, const std::string& key) {
  const nlohmann::json data = secret.ToJson().value("data", nlohmann::json::object());
  SLUICE_ASSIGN_OR_RETURN(auto value, Decoded(data, key, secret));
  if (!value.has_value()) {
    return base::InvalidArgument(
        fmt::format("Secret {}: key {} is missing", secret.key().ToString(), key));
  }
  return *std::move(value);
}

base::StatusOr<meta::ObjectPtr> SecretReader::Get(const std::string& ns, const std::string& name) {
  const meta::Key key{ns, name};
  const auto missing = [&] {
    return base::NotFound(fmt::format("Secret {} does not exist", key.ToString()));
  };
  if (ns == own_namespace_) {
    meta::ObjectPtr secret = own_.Get(key);
    if (secret == nullptr) return missing();
    return secret;
  }
  const base::MonoTime now = clock_.Mono();
  {
    const std::lock_guard lock(mutex_);
    const auto found = foreign_.find(key);
    if (found != foreign_.end() && now < found->second.until) {
      if (!found->second.error.ok()) return found->second.error;
      return found->second.secret;
    }
  }
  auto answer = api_.Get(kSecrets, key);
  Remembered entry{now + kForeignSecretTtl, answer.status(), nullptr};
  if (answer.ok()) {
    entry.secret = *answer;
  } else if (answer.status().code() == base::Code::kNotFound) {
    entry.error = missing();
  } else if (answer.status().code() == base::Code::kPermissionDenied) {
    entry.error =
        base::PermissionDenied(fmt::format("Secret {} may not be read by the controller; bind "
                                           "ClusterRole sluice-tenant-secrets to its "
                                           "service account in namespace {}",
                                           key.ToString(), ns));
  } else {
    return answer.status();  // not remembered: the next look may find the API server well
  }
  const std::lock_guard lock(mutex_);
  if (foreign_.size() >= kMaxForeignSecrets) foreign_.clear();
  foreign_[key] = entry;
  if (!entry.error.ok()) return entry.error;
  return entry.secret;
}

}  // namespace sluice::common
