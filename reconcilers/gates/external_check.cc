#include "reconcilers/gates/external_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "controller/http/client.h"
#include "controller/http/url.h"
#include "reconcilers/gates/evidence.h"
#include "reconcilers/gates/limits.h"

namespace sluice::gates {

ExternalFacts ReadExternalAnswer(const std::string& url, int status, std::string_view body) {
  ExternalFacts out{.url = url, .verdict = {}, .reason = {}, .error = {}};
  if (status != 200) {
    out.error = fmt::format("answered with status {}", status);
    return out;
  }
  const auto answer = nlohmann::json::parse(body, nullptr, false);
  const auto text = [&](const char* key) {
    return answer.is_object() && answer.contains(key) && answer[key].is_string()
               ? Bounded(answer[key].get<std::string>(), kMaxMessageBytes)
               : std::string();
  };
  out.verdict = text("verdict");
  out.reason = text("reason");
  if (out.verdict != "pass" && out.verdict != "hold" && out.verdict != "fail") {
    out.verdict.clear();
    out.error = "the answer's verdict is none of pass, hold and fail";
  } else if (out.verdict != "pass" && out.reason.empty()) {
    out.error = "the answer holds without a reason";
    out.verdict.clear();
  }
  return out;
}

base::StatusOr<ExternalFacts> ExternalCheck::Ask(const std::string& url,
                                                 std::chrono::milliseconds timeout,
                                                 std::stop_token stop) {
  SLUICE_ASSIGN_OR_RETURN(const http::Url parsed, http::ParseUrl(url));
  const std::string authority = parsed.Authority();
  if (std::find(allowed_.begin(), allowed_.end(), authority) == allowed_.end()) {
    return base::InvalidArgument(
        fmt::format("{} is not on the controller's allow-list of external gates", authority));
  }
  if (!parsed.userinfo.empty()) {
    return base::InvalidArgument("an external gate's address takes no user and password");
  }
  http::ClientOptions options;
  options.base_url = fmt::format("{}://{}", parsed.scheme, authority);
  options.connect_timeout = timeout;
  SLUICE_ASSIGN_OR_RETURN(const auto client, http::Client::New(options));
  http::Request request;
  request.target = parsed.path.empty() ? "/" : parsed.path;
  request.headers = {{"Accept", "application/json"}};
  request.read_timeout = timeout;
  request.total_timeout = timeout;
  request.max_body_bytes = kMaxExternalAnswerBytes;
  request.stop = std::move(stop);
  const auto answer = client->Do(request);
  if (!answer.ok()) {
    return ExternalFacts{.url = url,
                         .verdict = {},
                         .reason = {},
                         .error = Bounded(answer.status().message(), kMaxMessageBytes)};
  }
  return ReadExternalAnswer(url, answer->status, answer->body);
}

}  // namespace sluice::gates
