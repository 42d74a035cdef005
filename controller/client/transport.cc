#include "controller/client/transport.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "controller/base/log.h"
#include "controller/client/api_error.h"
#include "controller/client/limits.h"
#include "controller/http/header_text.h"

namespace sluice::client {
namespace {

using std::chrono::milliseconds;

bool MayComeAgain(const base::Status& status) {
  using base::Code;
  return status.retry_after().count() > 0 &&
         (status.code() == Code::kResourceExhausted || status.code() == Code::kUnavailable ||
          status.code() == Code::kInternal || status.code() == Code::kDeadlineExceeded);
}

base::Status RefusalOf(const http::Response& answer) {
  return ErrorFromAnswer(answer.status, http::FindHeader(answer.headers, "retry-after"),
                         answer.body);
}

// The server does not know us, or we do not know it: perhaps a token, a certificate or the CA was
// rotated since we looked. Nothing was done yet, so any method may come again.
std::optional<Credentials::Unknown> UnknownOf(const base::Status& refusal, bool answered) {
  using enum Credentials::Unknown;
  if (refusal.code() == base::Code::kUnauthenticated) {
    if (refusal.reason() == "CredentialPlugin") return std::nullopt;
    return kUser;
  }
  if (!answered && refusal.reason() == "CertificateInvalid") return kServer;
  if (!answered && refusal.reason() == "Tls") return kHandshake;
  return std::nullopt;
}

// A call that others' refusals hold for longer than it has.
base::Status NotSent(std::chrono::nanoseconds left) {
  const auto seconds =
      std::max(std::chrono::ceil<std::chrono::seconds>(left), std::chrono::seconds(1));
  return base::ResourceExhausted(
             fmt::format("not sent: the API server asked for {} s without such requests",
                         seconds.count()))
      .WithReason("TooManyRequests")
      .WithRetryAfter(seconds);
}

}  // namespace

base::StatusOr<std::unique_ptr<Transport>> Transport::Make(const Config& config,
                                                           base::Clock& clock) {
  std::unique_ptr<Transport> made(new Transport(config, clock));
  SLUICE_ASSIGN_OR_RETURN(const http::Url url, http::ParseUrl(config.server));
  made->host_ = fmt::format("{}:{}", url.host, url.port);
  SLUICE_ASSIGN_OR_RETURN(made->credentials_, Credentials::Make(config, clock));
  // A plugin's certificate comes with the first call.
  SLUICE_ASSIGN_OR_RETURN(made->http_, http::Client::New({.base_url = config.server,
                                                          .tls = *made->credentials_->Known()->tls,
                                                          .proxy_url = config.proxy_url,
                                                          .user_agent = config.user_agent}));
  return made;
}

base::StatusOr<http::Response> Transport::Send(const Call& call, const http::BodySink& sink) {
  milliseconds timeout = call.timeout;
  if (timeout.count() == 0) timeout = config_.request_timeout;
  if (timeout.count() == 0) timeout = kRequestTimeout;
  base::MonoTime deadline =
      AfterPerson(nullptr, Credentials::Unknown::kUser, call, clock_.Mono() + timeout);
  const std::string kind = Throttle::KindOf(call.method, call.target);
  bool refreshed = false;
  Throttle::Hold own;  // what the server asked of this call itself
  base::Status refusal;
  for (int retries = 0;;) {
    Throttle::Hold held;
    if (!Admit(kind, own, call, deadline, &held)) {
      return refusal.ok() ? NotSent(held.until - clock_.Mono()) : refusal;
    }
    Attempt attempt = Try(call, sink, deadline);
    const bool good = attempt.answer.ok() && attempt.answer->status / 100 == 2;
    refusal = good                  ? base::OkStatus()
              : attempt.answer.ok() ? RefusalOf(*attempt.answer)
                                    : attempt.answer.status();
    if (attempt.answer.ok()) own = Learn(kind, *attempt.answer, refusal);
    if (good) {
      LogWarnings(*attempt.answer);
      return std::move(attempt.answer).value();
    }
    const auto unknown = UnknownOf(refusal, attempt.answer.ok());
    if (unknown && !refreshed) {
      deadline = AfterPerson(attempt.material, *unknown, call, deadline);
      const auto material =
          credentials_->CurrentUnless(attempt.material, *unknown, deadline, call.stop);
      if (material.status().code() == base::Code::kCancelled) return material.status();
      refreshed = true;
      const Credentials::Material* tried = attempt.material.get();
      if (material.ok() && (tried == nullptr || (*material)->token != tried->token ||
                            (*material)->tls_version != tried->tls_version)) {
        refusal = base::OkStatus();
        continue;
      }
    }
    if (!attempt.answer.ok() || !MayComeAgain(refusal)) return refusal;
    if (++retries > kMaxThrottledRetries) {
      TellThrottled(own, 0, refusal.retry_after());  // the caller's to wait
      return refusal;
    }
  }
}

base::MonoTime Transport::AfterPerson(const std::shared_ptr<const Credentials::Material>& refused,
                                      Credentials::Unknown unknown, const Call& call,
                                      base::MonoTime deadline) {
  if (!config_.exec || !config_.exec->interactive) return deadline;
  const base::MonoTime before = clock_.Mono();
  static_cast<void>(
      credentials_->CurrentUnless(refused, unknown, before + kExecPersonTimeout, call.stop));
  return deadline + (clock_.Mono() - before);
}

Transport::Attempt Transport::Try(const Call& call, const http::BodySink& sink,
                                  base::MonoTime deadline) {
  Attempt attempt;
  auto current = credentials_->Current(deadline, call.stop);
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
  for (const auto& [name, value] : config_.impersonate) request.headers.push_back({name, value});
  request.total_timeout = std::max(left, milliseconds(0));
  request.silence_ends = call.silence.count() > 0;
  request.read_timeout = request.silence_ends ? call.silence : request.total_timeout;
  request.max_body_bytes = kMaxAnswerBytes;
  request.stop = call.stop;
  const base::MonoTime start = clock_.Mono();
  const bool watch = request.silence_ends;
  bool told = !observer_.request;
  const auto tell = [&](int code) {
    if (std::exchange(told, true)) return;
    RequestRecord record{call.method, host_, code, std::nullopt};
    if (!watch) record.duration = clock_.Mono() - start;
    observer_.request(record);
  };
  const http::BodySink watched = [&tell, &sink](std::string_view piece) {
    tell(200);  // with the head; a watch that is not refused has no other code
    return sink(piece);
  };
  attempt.answer = http_->Do(request, watch ? watched : sink);
  tell(attempt.answer.ok() ? attempt.answer->status : 0);
  return attempt;
}

bool Transport::Admit(const std::string& kind, const Throttle::Hold& own, const Call& call,
                      base::MonoTime deadline, Throttle::Hold* held) {
  const auto longest = [&] {  // mutex_ is held
    const Throttle::Hold* shared = throttle_.HoldOf(kind);
    return shared != nullptr && shared->until > own.until ? shared : &own;
  };
  {
    const std::lock_guard lock(mutex_);
    if (longest()->until <= clock_.Mono()) return true;
  }
  const std::stop_callback wake(call.stop, [this] {
    { std::lock_guard lock(mutex_); }
    wake_.notify_all();
  });
  const auto stopped = [&] { return stopped_ || call.stop.stop_requested(); };
  std::unique_lock lock(mutex_);  // released before `wake` waits for its callback
  const bool alone = throttle_.HoldOf(kind) == nullptr;  // never behind others
  const auto after = (alone ? 0 : std::min(waiting_, kMaxReleaseSlots)) * kReleaseSpacing;
  ++waiting_;
  while (true) {  // another refusal may have come meanwhile
    const base::MonoTime now = clock_.Mono();
    *held = *longest();
    base::MonoTime start = held->until + after;
    if (start >= deadline) start = held->until;
    const bool goes = start <= now || stopped();
    if (goes || start >= deadline) {
      --waiting_;
      lock.unlock();
      if (!goes) TellThrottled(*held, 0, start - now);  // the caller's to wait
      return goes;
    }
    clock_.WaitUntil(lock, wake_, start, stopped);
    lock.unlock();
    TellThrottled(*held, 0, clock_.Mono() - now);
    lock.lock();
  }
}

Throttle::Hold Transport::Learn(const std::string& kind, const http::Response& answer,
                                const base::Status& refusal) {
  const bool waits = MayComeAgain(refusal);
  const base::MonoTime now = clock_.Mono();
  Throttle::Hold asked{.until = {}, .code = answer.status, .level = {}};
  {
    const std::lock_guard lock(mutex_);
    const std::string& level = throttle_.Heard(
        kind, http::FindHeader(answer.headers, "x-kubernetes-pf-prioritylevel-uid"));
    if (!waits) return asked;
    asked.level = level;
    asked.until = now + refusal.retry_after();
    if (answer.status == 429 || answer.status == 503) {
      throttle_.Refused(kind, asked, answer.body.starts_with('{'), now);
    }
  }
  TellThrottled(asked, 1, {});
  return asked;
}

void Transport::TellThrottled(const Throttle::Hold& by, int refusals,
                              std::chrono::nanoseconds waited) {
  if (observer_.throttle) observer_.throttle({host_, by.code, by.level, refusals, waited});
}

void Transport::Observe(RequestObserver observer) {
  observer_ = std::move(observer);
  for (const int code : {429, 503})
    TellThrottled({.until = {}, .code = code, .level = "none"}, 0, {});
}

void Transport::UseTls(const Credentials::Material& material) {
  tls_order_.Use(material.tls_version, [&] {
    if (material.tls_version == 1) return;  // http_ was made with these
    if (const base::Status status = http_->SetTls(*material.tls); !status.ok()) {
      base::log::Warn("rotated TLS material was not usable, kept the old", {{"error", status}});
    }
  });
}

void Transport::LogWarnings(const http::Response& response) {
  for (const http::Header& header : response.headers) {
    if (!http::EqualNoCase(header.name, "Warning")) continue;
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
  credentials_->Stop();
  {
    std::lock_guard lock(mutex_);
    stopped_ = true;
  }
  wake_.notify_all();
}

}  // namespace sluice::client
