// S3 keys from Secrets. A Secret in the controller's own namespace is read from its cache. One in a
// tenant's namespace is read by name, which needs a RoleBinding that the tenant makes there (so the
// customer decides), and is remembered for kForeignSecretTtl.
//
// Nothing here puts a value of a Secret into an error, a log or a status.
#pragma once

#include <chrono>
#include <map>
#include <mutex>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "controller/base/clock.h"
#include "controller/base/status.h"
#include "controller/cache/store.h"
#include "controller/client/client.h"
#include "controller/meta/object.h"

namespace sluice::common {

inline constexpr std::chrono::seconds kForeignSecretTtl{15};

struct S3Keys {
  std::string access_key_id;
  std::string secret_access_key;
  std::string session_token;
};

// Keys named AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, then those that end in
// _PREVIOUS while keys rotate. Pure.
// Errors: InvalidArgument "Secret ns/name: key AWS_SECRET_ACCESS_KEY is missing".
base::StatusOr<std::vector<S3Keys>> ParseS3Keys(const meta::Object& secret);

// One entry of a Secret. Errors: InvalidArgument naming the missing key.
base::StatusOr<std::string> SecretValue(const meta::Object& secret, const std::string& key);

class SecretReader {
 public:
  // `own`: the store of the Secrets in `own_namespace`.
  SecretReader(client::Reader& api, const cache::Store& own, std::string own_namespace,
               base::Clock& clock)
      : api_(api), own_(own), own_namespace_(std::move(own_namespace)), clock_(clock) {}

  // Errors: NotFound; PermissionDenied, whose message names the RoleBinding that cures it.
  base::StatusOr<meta::ObjectPtr> Get(const std::string& ns, const std::string& name);
  const std::string& own_namespace() const { return own_namespace_; }

 private:
  struct Remembered {
    base::MonoTime until;
    base::Status error;
    meta::ObjectPtr secret;
  };
  client::Reader& api_;
  const cache::Store& own_;
  const std::string own_namespace_;
  base::Clock& clock_;
  std::mutex mutex_;
  std::map<meta::Key, Remembered> foreign_;  // guarded by mutex_; at most kMaxForeignSecrets
};

}  // namespace sluice::common
