#include "controller/cmd/sluice_controller/token_reviewer.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace sluice::controller_main {

using base::StatusOr;
using nlohmann::json;

namespace {

// First value of user.extra[name].
std::string Extra(const json& user, const char* name) {
  const auto extra = user.find("extra");
  if (extra == user.end() || !extra->is_object()) return "";
  const auto values = extra->find(name);
  if (values == extra->end() || !values->is_array() || values->empty()) return "";
  return values->front().is_string() ? values->front().get<std::string>() : "";
}

}  // namespace

std::string TokenReviewBody(const std::string& token) {
  return json{{"apiVersion", "authentication.k8s.io/v1"},
              {"kind", "TokenReview"},
              {"spec", {{"token", token}, {"audiences", {kAgentAudience}}}}}
      .dump();
}

StatusOr<agents::ReviewedToken> ReadTokenReview(const std::string& answer) {
  const json review = json::parse(answer, nullptr, false);
  if (!review.is_object() || !review.contains("status") || !review["status"].is_object()) {
    return base::DataLoss("the API server's answer is not a TokenReview");
  }
  const json& status = review["status"];
  if (!status.value("authenticated", false)) {
    return base::Unauthenticated("the token was refused: " + status.value("error", "no reason"));
  }
  const json audiences = status.value("audiences", json::array());
  if (std::find(audiences.begin(), audiences.end(), kAgentAudience) == audiences.end()) {
    return base::Unauthenticated("the token is not for audience \"sluice\"");
  }
  const json user = status.value("user", json::object());
  agents::ReviewedToken token;
  token.service_account = user.value("username", "");
  token.pod = Extra(user, "authentication.kubernetes.io/pod-name");
  token.node = Extra(user, "authentication.kubernetes.io/node-name");
  if (token.pod.empty() || token.node.empty()) {
    return base::Unauthenticated("the token is not bound to a pod on a node");
  }
  return token;
}

StatusOr<agents::ReviewedToken> ClusterTokenReviewer::Review(const std::string& site,
                                                             const std::string& token,
                                                             base::MonoTime deadline) {
  const std::string account = account_of_(site);
  if (clock_.Mono() >= deadline) return base::DeadlineExceeded("no time left to review the token");
  std::shared_ptr<client::Client> other;
  if (cluster_.client_of) {
    SLUICE_ASSIGN_OR_RETURN(other, cluster_.client_of(site));
  }
  client::Client& client = other != nullptr ? *other : client_;
  const auto answer =
      client.Raw("POST", "/apis/authentication.k8s.io/v1/tokenreviews", TokenReviewBody(token));
  // The body is never part of an error: it holds the token.
  if (!answer.ok()) return base::Unavailable("TokenReview: " + answer.status().ToString());
  SLUICE_ASSIGN_OR_RETURN(auto reviewed, ReadTokenReview(*answer));
  if (reviewed.service_account != account) {
    return base::PermissionDenied("the token is of " + reviewed.service_account +
                                  ", agents of site \"" + site + "\" run under " + account);
  }
  return reviewed;
}

}  // namespace sluice::controller_main
