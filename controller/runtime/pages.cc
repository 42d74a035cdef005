#include "controller/runtime/pages.h"

#include <charconv>

#include "controller/base/check.h"
#include "controller/base/log.h"
#include "controller/runtime/limits.h"
#include "controller/runtime/profile.h"

namespace sluice::runtime {

namespace {

http::ServerResponse Text(int status, std::string body) {
  http::ServerResponse response;
  response.status = status;
  response.body = std::move(body);
  return response;
}

bool Asked(const http::ServerRequest& request, const std::string& parameter) {
  for (const auto& [name, value] : request.query) {
    if (name == parameter) return true;
  }
  return false;
}

}  // namespace

Pages::Pages(PagesOptions options, base::metrics::Registry& registry)
    : options_(std::move(options)), registry_(registry) {}

Pages::~Pages() { Stop(); }

void Pages::AddReadyCheck(std::string name, std::function<base::Status()> check) {
  SLUICE_CHECK(checks_.size() < kMaxReadyChecks && health_ == nullptr);
  checks_.push_back({std::move(name), std::move(check)});
}

http::ServerResponse Pages::Ready(const http::ServerRequest& request) const {
  const std::string prefix = "/readyz/";
  const std::string one =
      request.path.rfind(prefix, 0) == 0 ? request.path.substr(prefix.size()) : "";
  std::string body;
  bool ready = true;
  bool found = one.empty();
  for (const ReadyCheck& check : checks_) {
    if (!one.empty() && check.name != one) continue;
    found = true;
    const base::Status status = check.check();
    ready = ready && status.ok();
    body += status.ok() ? "[+]" + check.name + " ok\n"
                        : "[-]" + check.name + " failed: " + status.message() + "\n";
  }
  if (!found) return Text(404, "no such check\n");
  if (!ready) return Text(503, body + "readyz check failed\n");
  return Text(200, Asked(request, "verbose") ? body + "readyz check passed\n" : "ok");
}

http::ServerResponse Pages::Profile(const http::ServerRequest& request) const {
  if (request.method != "GET") return Text(405, "profiles are asked for by GET\n");
  std::chrono::seconds length = kDefaultProfileLength;
  if (const std::string_view text = http::FindHeader(request.query, "seconds"); !text.empty()) {
    int seconds = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
    const bool good = error == std::errc() && end == text.data() + text.size();
    length = std::chrono::seconds(good ? seconds : 0);
  }
  auto profile = TakeCpuProfile(length, stop_.get_token());
  if (profile.ok()) return {200, "application/octet-stream", std::move(profile).value()};
  const base::Status& status = profile.status();
  const bool busy = status.reason() == "Busy";
  const bool asked_wrongly = status.code() == base::Code::kInvalidArgument;
  return Text(busy ? 409 : asked_wrongly ? 400 : 500, status.message() + "\n");
}

base::Status Pages::StartOne(const std::string& address, const char* what,
                             const std::vector<std::pair<std::string, http::Handler>>& handlers,
                             std::unique_ptr<http::Server>& server) {
  if (address.empty()) return base::OkStatus();
  http::ServerOptions options;
  options.address = address;
  options.max_body_bytes = 0;  // no page takes one
  auto made = http::Server::New(options);
  if (!made.ok()) return made.status().Annotate(what);
  for (const auto& [path, handler] : handlers) (*made)->Handle(path, handler);
  if (const auto status = (*made)->Start(); !status.ok()) {
    return status.Annotate(std::string(what) + " " + address);
  }
  server = std::move(made).value();
  base::log::Info("page served", {{"page", what}, {"port", server->port()}});
  return base::OkStatus();
}

base::Status Pages::Start() {
  const http::Handler ready = [this](const auto& request) { return Ready(request); };
  const http::Handler alive = [](const auto&) { return Text(200, "ok"); };
  SLUICE_RETURN_IF_ERROR(StartOne(options_.health_address, "health address",
                                  {{"/healthz", alive}, {"/readyz", ready}, {"/readyz/", ready}},
                                  health_));
  if (health_ != nullptr) health_port_ = health_->port();
  const http::Handler metrics = [this](const auto&) {
    http::ServerResponse response;
    response.content_type = "text/plain; version=0.0.4; charset=utf-8";
    response.body = registry_.Expose();
    return response;
  };
  SLUICE_RETURN_IF_ERROR(
      StartOne(options_.metrics_address, "metrics address", {{"/metrics", metrics}}, metrics_));
  if (metrics_ != nullptr) metrics_port_ = metrics_->port();
  const http::Handler debug = [this](const auto&) {
    http::ServerResponse response;
    response.content_type = "application/json";
    response.body = debug_ ? debug_() : "{}";
    return response;
  };
  const http::Handler profile = [this](const auto& request) { return Profile(request); };
  SLUICE_RETURN_IF_ERROR(StartOne(options_.debug_address, "debug address",
                                  {{"/debug", debug}, {"/debug/pprof/profile", profile}},
                                  debug_server_));
  if (debug_server_ != nullptr) debug_port_ = debug_server_->port();
  return base::OkStatus();
}

void Pages::Stop() {
  stop_.request_stop();
  for (auto* server : {&debug_server_, &metrics_, &health_}) {
    if (*server != nullptr) (*server)->Stop();
  }
}

}  // namespace sluice::runtime
