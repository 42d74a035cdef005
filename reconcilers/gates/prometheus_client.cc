#include "reconcilers/gates/prometheus_client.h"

#include <fmt/format.h>

#include <algorithm>

#include "controller/http/client.h"
#include "controller/http/url.h"
#include "reconcilers/gates/limits.h"

namespace sluice::gates {
namespace {

using std::chrono::duration_cast;
using std::chrono::milliseconds;

// Unix seconds with milliseconds, as the API reads them.
std::string Seconds(base::WallTime time) {
  const auto ms = duration_cast<milliseconds>(time.time_since_epoch()).count();
  return fmt::format("{}.{:03}", ms / 1000, ms % 1000);
}

class Prometheus final : public Provider {
 public:
  Prometheus(std::unique_ptr<http::Client> client, std::string token)
      : client_(std::move(client)), token_(std::move(token)) {}
  ~Prometheus() override { client_->Stop(); }

  base::StatusOr<PrometheusAnswer> Query(std::string_view query, base::WallTime at,
                                         const Ask& ask) override {
    return Post("/api/v1/query",
                fmt::format("query={}&time={}&timeout={}ms", http::PercentEncode(query),
                            Seconds(at), ask.timeout.count()),
                ask);
  }

  base::StatusOr<PrometheusAnswer> QueryRange(std::string_view query, base::WallTime from,
                                              base::WallTime to, base::Duration step,
                                              const Ask& ask) override {
    const auto step_ms = std::max<std::int64_t>(duration_cast<milliseconds>(step).count(), 1);
    return Post("/api/v1/query_range",
                fmt::format("query={}&start={}&end={}&step={}.{:03}&timeout={}ms",
                            http::PercentEncode(query), Seconds(from), Seconds(to), step_ms / 1000,
                            step_ms % 1000, ask.timeout.count()),
                ask);
  }

 private:
  // POST: queries may be longer than a URL may be.
  base::StatusOr<PrometheusAnswer> Post(const char* target, const std::string& form,
                                        const Ask& ask) {
    http::Request request;
    request.method = "POST";
    request.target = target;
    request.headers = {{"Content-Type", "application/x-www-form-urlencoded"},
                       {"Accept", "application/json"}};
    if (!token_.empty()) request.headers.push_back({"Authorization", "Bearer " + token_});
    request.body = form;
    request.read_timeout = ask.timeout;
    request.total_timeout = ask.timeout;
    request.max_body_bytes = kMaxAnswerBytes;
    request.stop = ask.stop;
    SLUICE_ASSIGN_OR_RETURN(const http::Response response, client_->Do(request));
    return ParseAnswer(response.status, response.body);
  }

  const std::unique_ptr<http::Client> client_;
  const std::string token_;
};

}  // namespace

base::StatusOr<std::unique_ptr<Provider>> NewPrometheus(const PrometheusOptions& options) {
  http::ClientOptions client;
  client.base_url = options.url;
  while (!client.base_url.empty() && client.base_url.back() == '/') client.base_url.pop_back();
  client.tls.ca_pem = options.ca_pem;
  client.connect_timeout = duration_cast<milliseconds>(kQueryTimeout);
  if (options.bearer_token.find_first_of("\r\n") != std::string::npos) {
    return base::InvalidArgument("the bearer token has more than one line");
  }
  SLUICE_ASSIGN_OR_RETURN(auto http, http::Client::New(client));
  return std::unique_ptr<Provider>(new Prometheus(std::move(http), options.bearer_token));
}

}  // namespace sluice::gates
