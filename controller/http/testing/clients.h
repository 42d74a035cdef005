// What tests of the HTTP client and server begin with.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "controller/base/check.h"
#include "controller/http/client.h"
#include "controller/http/testing/imposter.h"

namespace sluice::http::testing {

// Every request is answered with 200 and "ok".
inline void AnswerAll(ImposterConnection& connection) {
  while (connection.ReadRequest()) connection.Send(Answer(200, "ok"));
}

inline std::unique_ptr<Client> ClientFor(const std::string& url, TlsOptions tls = {}) {
  auto client = Client::New({.base_url = url, .tls = std::move(tls)});
  SLUICE_CHECK(client.ok());
  return std::move(client).value();
}

}  // namespace sluice::http::testing
