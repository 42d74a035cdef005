#include "reconcilers/gates/external_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "controller/base/file.h"
#include "controller/http/client.h"
#include "controller/http/url.h"
#include "reconcilers/gates/evidence.h"
#include "reconcilers/gates/limits.h"

namespace sluice::gates {
namespace {

ExternalFacts NoAnswer(const std::string& url, std::string_view why) {
  return {.url = url,
          .verdict = {},
          .reason = {},
          .error = Bounded(std::string(why), kMaxMessageBytes)};
}

ExternalFacts AskOverHttp(const ExternalQuestion& question, const http::Url& address,
                          const std::string& ca_pem, std::stop_token stop) {
  http::ClientOptions options;
  options.base_url = fmt::format("{}://{}", address.scheme, address.Authority());
  if (!ca_pem.empty()) options.tls.ca_pem = ca_pem;
  options.connect_timeout = question.timeout;
  const auto client = http::Client::New(options);
  if (!client.ok()) return NoAnswer(question.url, client.status().message());
  http::Request request;
  request.target = address.path.empty() ? "/" : address.path;
  request.headers = {{"Accept", "application/json"}};
  request.read_timeout = question.timeout;
  request.total_timeout = question.timeout;
  request.max_body_bytes = kMaxExternalAnswerBytes;
  request.stop = std::move(stop);
  const auto answer = (*client)->Do(request);
  if (!answer.ok()) return NoAnswer(question.url, answer.status().message());
  return ReadExternalAnswer(question.url, answer->status, answer->body);
}

}  // namespace

ExternalFacts AnswerFacts(const std::string& url, std::string verdict, std::string_view reason) {
  ExternalFacts out{.url = url,
                    .verdict = std::move(verdict),
                    .reason = Bounded(std::string(reason), kMaxMessageBytes),
                    .error = {}};
  if (out.verdict != "pass" && out.verdict != "hold" && out.verdict != "fail") {
    out.verdict.clear();
    out.error = "the answer's verdict is none of pass, hold and fail";
  } else if (out.verdict != "pass" && out.reason.empty()) {
    out.error = "the answer holds without a reason";
    out.verdict.clear();
  }
  return out;
}

ExternalFacts ReadExternalAnswer(const std::string& url, int status, std::string_view body) {
  if (status != 200) return NoAnswer(url, fmt::format("answered with status {}", status));
  const auto answer = nlohmann::json::parse(body, nullptr, false);
  const auto text = [&](const char* key) {
    return answer.is_object() && answer.contains(key) && answer[key].is_string()
               ? answer[key].get<std::string>()
               : std::string();
  };
  return AnswerFacts(url, text("verdict"), text("reason"));
}

base::StatusOr<ExternalFacts> ExternalCheck::Ask(const ExternalQuestion& question,
                                                 std::stop_token stop) {
  // gRPC's addresses are HTTP's under another name: grpc://h is http://h, grpcs://h https://h.
  const bool grpc = question.url.rfind("grpc", 0) == 0;
  SLUICE_ASSIGN_OR_RETURN(const http::Url address,
                          http::ParseUrl(grpc ? "http" + question.url.substr(4) : question.url));
  const std::string authority = address.Authority();
  const auto& allowed = options_.allowed;
  if (std::find(allowed.begin(), allowed.end(), authority) == allowed.end()) {
    return base::InvalidArgument(
        fmt::format("{} is not on the controller's allow-list of external gates", authority));
  }
  if (!address.userinfo.empty()) {
    return base::InvalidArgument("an external gate's address takes no user and password");
  }
  if (grpc && grpc_ == nullptr) {
    return base::InvalidArgument("this controller asks no external gates over gRPC");
  }
  std::string ca_pem;
  if (address.tls() && !options_.ca_file.empty()) {
    auto read = base::ReadFile(options_.ca_file, kMaxExternalCaBytes);
    if (!read.ok()) return NoAnswer(question.url, read.status().message());
    ca_pem = *std::move(read);
    // An empty file must not come to mean the system's roots.
    if (ca_pem.empty()) return NoAnswer(question.url, options_.ca_file + " is empty");
  }
  return grpc ? grpc_->Ask(question, address, ca_pem, std::move(stop))
              : AskOverHttp(question, address, ca_pem, std::move(stop));
}

}  // namespace sluice::gates
