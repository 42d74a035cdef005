// Derives each site's configuration in every replica and hands it to the publisher, which lets only
// the leader change what is published (reconcilers/agents/publisher.h).
#pragma once

#include <chrono>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "controller/reconcile/reconcile.h"
#include "reconcilers/agents/publisher.h"
#include "reconcilers/common/credentials.h"
#include "reconcilers/site/clusters.h"
#include "reconcilers/site/config.h"
#include "reconcilers/site/inputs.h"

namespace sluice::site {

// What the last derivation of each site said, for the reconciler that writes the status.
// Thread rule: any thread. Bound: one entry a site.
class DerivedConfigs {
 public:
  Derived Get(const std::string& site) const;
  void Put(const std::string& site, Derived derived);
  void Erase(const std::string& site);

 private:
  mutable std::mutex mutex_;
  std::map<std::string, Derived> derived_;  // guarded by mutex_
};

class ConfigReconciler final : public reconcile::Reconciler {
 public:
  // How often Secrets in tenants' namespaces, which are not watched, are looked at again.
  static constexpr std::chrono::seconds kLookAgain{15};

  ConfigReconciler(Stores stores, common::SecretReader& secrets, agents::ConfigPublisher& publisher,
                   DerivedConfigs& derived, std::function<void(const meta::Key&)> changed,
                   SiteClusters* clusters = nullptr)
      : stores_(stores),
        secrets_(secrets),
        publisher_(publisher),
        derived_(derived),
        changed_(std::move(changed)),
        clusters_(clusters) {}

  reconcile::Result Reconcile(const reconcile::Request& request, std::stop_token stop) override;

 private:
  void RememberKeys(const std::string& site, const Inputs& in);

  Stores stores_;
  common::SecretReader& secrets_;
  agents::ConfigPublisher& publisher_;
  DerivedConfigs& derived_;
  std::function<void(const meta::Key&)> changed_;
  SiteClusters* const clusters_;  // told of each Site in every replica; may be nullptr
  std::mutex mutex_;
  // Guarded by mutex_: per site, the keys of each tenant that worked last.
  std::map<std::string, std::map<std::string, std::vector<common::S3Keys>>> last_good_;
};

}  // namespace sluice::site
