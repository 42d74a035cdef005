#include "controller/client/transport.h"

#include <fmt/format.h>

#include <algorithm>

#include "controller/base/log.h"
#include "controller/client/api_error.h"
#include "controller/client/limits.h"

namespace sluice::client {
namespace {

using std::chrono::milliseconds;

bool MayComeAgain(const base::Status& status) {
  using base::Code;
  return status.retry_after().count() > 0 &&
         (status.code() == Code::kResourceExhausted || status.code() == Code::kUnavailable ||
          status.code() == Code::kInternal || status.code() == Code::kDeadlineExceeded);
}

}  // namespace

base::StatusOr<std::unique_ptr<Transport>> Transport::Make(const Config& config,
                                                           base::Clock& clock) {
  std::unique_ptr<Transport> made(new Transport(config, clock));
  SLUICE_ASSIGN_OR_RETURN(const http::Url url, http::ParseUrl(config.server));
  made->host_ = fmt::format("{}:{}", url.host, url.port);
  SLUICE_ASSIGN_OR_RETURN(made->credentials_, Credentials::Make(config, clock));
  // A plugin's certificate comes with the first call; here only the files are looked at.
  Config files = config;
  files.exec.reset();
  SLUICE_ASSIGN_OR_RETURN(const std::unique_ptr<Credentials> first,
                          Credentials::Make(files, clock));
  SLUICE_ASSIGN_OR_RETURN(const auto material, first->Current(clock.Mono() + kRequestTimeout));
  SLUICE_ASSIGN_OR_RETURN(made->http_, http::Client::New({.base_url = config.server,
                                                          .tls = *material->tls,
                                                          .proxy_url = config.proxy_url,
                                                          .user_agent = config.user_agent}));
  return made;
}

base::StatusOr<http::Response> Transport::Send(const Call& call, const http::BodySink& sink) {
  milliseconds timeout = call.timeout;
  if (timeout.count() == 0) timeout = config_.request_timeout;
  if (timeout.count() == 0) timeout = kRequestTimeout;
  const base::MonoTime deadline = clock_.Mono() + timeout;
  bool refreshed = false;
  std::chrono::nanoseconds throttled{0};
  for (int retries = 0;;) {
    Attempt attempt = Try(call, sink, deadline, throttled);
    if (attempt.answer.ok() && attempt.answer->status / 100 == 2) {
      LogWarnings(*attempt.answer);
      return std::move(attempt.answer).value();
    }
    const base::Status refusal =
        attempt.answer.ok()
            ? ErrorFromAnswer(attempt.answer->status,
                              http::FindHeader(attempt.answer->headers, "retry-after"),
                              attempt.answer->body)
            : attempt.answer.status();
    // The server does not know us, or we do not know it: perhaps a token, a certificate or the CA
    // was rotated since we looked. Nothing was done yet, so any method may come again.
    const bool unknown = refusal.code() == base::Code::kUnauthenticated ||
                         (!attempt.answer.ok() &&
                          (refusal.reason() == "CertificateInvalid" || refusal.reason() == "Tls"));
    if (unknown && !refreshed && refusal.reason() != "CredentialPlugin") {
      const auto material = credentials_->CurrentUnless(attempt.material, deadline);
      refreshed = true;
      const Credentials::Material* tried = attempt.material.get();
      if (material.ok() && (tried == nullptr || (*material)->token != tried->token ||
                            (*material)->tls_version != tried->tls_version)) {
        continue;
      }
    }
    if (attempt.answer.ok() && retries < kMaxThrottledRetries && MayComeAgain(refusal)) {
      const base::MonoTime before = clock_.Mono();
      if (WaitAsAsked(refusal, call, deadline)) {
        throttled = clock_.Mono() - before;
        ++retries;
        continue;
      }
    }
    return refusal;
  }
}

Transport::Attempt Transport::Try(const Call& call, const http::BodySink& sink,
                                  base::MonoTime deadline, std::chrono::nanoseconds throttled) {
  Attempt attempt;
  auto current = credentials_->Current(deadline);
  if (!current.ok()) {
    attempt.answer = current.status();
    return attempt;
  }
  attempt.material = std::move(current).value();
  UseTls(*attempt.material);
  http::HeaderView headers[3] = {{"Accept", call.accept}};
  std::size_t count = 1;
  if (!call.content_type.empty()) headers[count++] = {"Content-Type", call.content_type};
  if (const std::string& text = attempt.material->authorization; !text.empty()) {
    headers[count++] = {"Authorization", text};
  }
  http::Request request{.method = std::string(call.method),
                        .target = std::string(call.target),
                        .more_headers = {headers, count},
                        .body = call.body};
  const auto left = std::chrono::ceil<milliseconds>(deadline - clock_.Mono());
  request.total_timeout = std::max(left, milliseconds(0));
  request.read_timeout = request.total_timeout;
  request.max_body_bytes = kMaxAnswerBytes;
  request.stop = call.stop;
  const base::MonoTime start = clock_.Mono();
  attempt.answer = http_->Do(request, sink);
  if (observer_) {
    observer_({call.method, host_, attempt.answer.ok() ? attempt.answer->status : 0,
               clock_.Mono() - start, throttled});
  }
  return attempt;
}

bool Transport::WaitAsAsked(const base::Status& refusal, const Call& call,
                            base::MonoTime deadline) {
  const base::MonoTime until = clock_.Mono() + refusal.retry_after();
  if (until >= deadline) return false;
  const std::stop_callback wake(call.stop, [this] {
    { std::lock_guard lock(mutex_); }
    wake_.notify_all();
  });
  std::unique_lock lock(mutex_);
  clock_.WaitUntil(lock, wake_, until, [&] { return stopped_ || call.stop.stop_requested(); });
  return true;
}

void Transport::UseTls(const Credentials::Material& material) {
  tls_order_.Use(material.tls_version, [&] {
    if (material.tls_version == 1 && !config_.exec) return;  // http_ was made with these
    if (const base::Status status = http_->SetTls(*material.tls); !status.ok()) {
      base::log::Warn("rotated TLS material was not usable, kept the old", {{"error", status}});
    }
  });
}

void Transport::LogWarnings(const http::Response& response) {
  for (const http::Header& header : response.headers) {
    if (header.name != "Warning") continue;
    {
      std::lock_guard lock(mutex_);
      if (warnings_.size() >= kMaxWarningsRemembered || !warnings_.insert(header.value).second) {
        continue;
      }
    }
    base::log::Warn("API server warned", {{"server", host_}, {"warning", header.value}});
  }
}

void Transport::Stop() {
  http_->Stop();  // first, so that a wait that ends now finds nothing to ask
  {
    std::lock_guard lock(mutex_);
    stopped_ = true;
  }
  wake_.notify_all();
}

}  // namespace sluice::client
