// TokenReview of the cluster that a site's agents run in, for enrolling them.
//
// Thread rule: any thread. The client's own time limit bounds a call; `deadline` is checked before.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "controller/base/clock.h"
#include "controller/client/client.h"
#include "reconcilers/agents/server.h"

namespace sluice::controller_main {

inline constexpr const char* kAgentAudience = "sluice";

// The body to send. Secret: holds the token.
std::string TokenReviewBody(const std::string& token);
// What the answer says. Errors: Unauthenticated (why), DataLoss (not a TokenReview).
base::StatusOr<agents::ReviewedToken> ReadTokenReview(const std::string& answer);

// A site's cluster. Nothing set: every site's is the one this controller runs in.
struct SiteCluster {
  // Who answers for it; nullptr: the cluster this controller runs in. Errors: Unavailable.
  std::function<base::StatusOr<std::shared_ptr<client::Client>>(const std::string& site)> client_of;
  std::function<std::string(const std::string& site)> name_of;  // TokenReviewer::ClusterOf
};

class ClusterTokenReviewer final : public agents::TokenReviewer {
 public:
  // `account_of(site)`: the service account a site's agents run under, as
  // "system:serviceaccount:NS:NAME", whether or not there is such a site.
  ClusterTokenReviewer(client::Client& client, base::Clock& clock,
                       std::function<std::string(const std::string& site)> account_of,
                       SiteCluster cluster = {})
      : client_(client),
        clock_(clock),
        account_of_(std::move(account_of)),
        cluster_(std::move(cluster)) {}

  base::StatusOr<agents::ReviewedToken> Review(const std::string& site, const std::string& token,
                                               base::MonoTime deadline) override;
  std::string ClusterOf(const std::string& site) override {
    return cluster_.name_of ? cluster_.name_of(site) : "";
  }

 private:
  client::Client& client_;
  base::Clock& clock_;
  const std::function<std::string(const std::string&)> account_of_;
  const SiteCluster cluster_;
};

}  // namespace sluice::controller_main
