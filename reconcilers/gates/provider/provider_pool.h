// Providers by site, made from the site's spec and kept while it says the same.
//
// Thread rule: any thread. A provider in use lives on when its site's settings change. Bound:
// kMaxProviders; the one used longest ago goes first.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "controller/base/clock.h"
#include "reconcilers/common/credentials.h"
#include "reconcilers/gates/prometheus_client.h"

namespace sluice::v1alpha1 {
class SiteSpec;
}  // namespace sluice::v1alpha1

namespace sluice::gates {

// A site's provider, or why there is none: `misconfigured` when the spec names none, `error` when
// what it names cannot be used (a Secret is missing, a URL or certificate is wrong).
struct Source {
  std::shared_ptr<Provider> provider;
  base::Duration scrape_interval{0};
  std::string misconfigured;
  std::string error;
};

class ProviderPool {
 public:
  explicit ProviderPool(common::SecretReader& secrets) : secrets_(secrets) {}
  // `user` names who asks (a site, an objective): one kept connection each.
  Source Find(const std::string& user, const v1alpha1::SiteSpec& spec);
  void Forget(const std::string& site);
  const std::string& secrets_namespace() const { return secrets_.own_namespace(); }

 private:
  struct Kept {
    std::string fingerprint;
    std::shared_ptr<Provider> provider;
    std::uint64_t used = 0;
  };
  base::StatusOr<PrometheusOptions> Options(const v1alpha1::SiteSpec& spec);

  common::SecretReader& secrets_;
  std::mutex mutex_;
  std::map<std::string, Kept> kept_;  // guarded by mutex_
  std::uint64_t uses_ = 0;            // guarded by mutex_
};

}  // namespace sluice::gates
