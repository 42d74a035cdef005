// The endpoint that Alertmanager posts to: opens and resolves Incidents.
//
// Any replica answers, the one that leads or another: what is written follows from the notification
// alone and names its preconditions, so that two of them at once do no harm. A bearer token, read
// from a file at each request (a rotated Secret counts at once), is asked before a byte of the body
// is looked at. What cannot be done now is answered with 503, which Alertmanager sends again.
//
// Thread rule: Handle from any thread, several at once. It blocks while the API server is asked, at
// most the client's own deadline a call.
#pragma once

#include <string>

#include "controller/base/metrics.h"
#include "controller/client/client.h"
#include "controller/http/server.h"
#include "reconcilers/incident/plan.h"

namespace sluice::incident {

inline constexpr const char* kReceiverPath = "/alertmanager/v4";

class Receiver {
 public:
  Receiver(client::Reader& reader, client::Writer& writer, base::metrics::Registry& registry,
           std::string token_file);

  // 200 taken (or nothing concerned us), 401 without the token, 400 no notification, 405 no POST,
  // 413 above the bounds, 503 the API server or the token's file could not be asked: send it again.
  http::ServerResponse Handle(const http::ServerRequest& request);

 private:
  base::Status Take(const Alert& alert);
  base::Status Act(const Action& action, const Alert& alert);
  base::Status Authenticate(const http::ServerRequest& request) const;
  void CountNotification(const char* outcome);
  void CountIncident(std::string_view action);

  client::Reader& reader_;
  client::Writer& writer_;
  base::metrics::Registry& registry_;
  const std::string token_file_;
};

}  // namespace sluice::incident
