#include "controller/webhook/server.h"

#include <algorithm>
#include <atomic>
#include <charconv>
#include <list>

#include "controller/base/check.h"
#include "controller/base/log.h"
#include "controller/http/server.h"
#include "controller/webhook/limits.h"
#include "controller/webhook/workers.h"

namespace sluice::webhook {

using base::Status;
using base::StatusOr;
using base::metrics::Registry;

namespace {

const std::vector<double> kLatencyBounds = {.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10};

http::ServerResponse Text(int status, const std::string& text) {
  return {status, "text/plain; charset=utf-8", text + "\n"};
}

// The numbers of one path, under controller-runtime's names.
class PathMetrics {
 public:
  PathMetrics(Registry& registry, const std::string& path, base::metrics::Counter& panics)
      : registry_(registry),
        path_(path),
        panics_(panics),
        in_flight_(registry.GetGauge("controller_runtime_webhook_requests_in_flight",
                                     "Current number of admission requests being served.",
                                     {{"webhook", path}})),
        latency_(registry.GetHistogram("controller_runtime_webhook_latency_seconds",
                                       "Histogram of the latency of processing admission requests",
                                       kLatencyBounds, {{"webhook", path}})) {
    Answered(200).Add(0);
    Answered(500).Add(0);
  }
  // Codes are our own answers: few.
  base::metrics::Counter& Answered(int code) {
    return registry_.GetCounter("controller_runtime_webhook_requests_total",
                                "Total number of admission requests by HTTP status code.",
                                {{"code", std::to_string(code)}, {"webhook", path_}});
  }
  base::metrics::Gauge& in_flight() { return in_flight_; }
  base::metrics::Histogram& latency() { return latency_; }
  // Of all webhooks of its sort.
  base::metrics::Counter& panics() { return panics_; }

 private:
  Registry& registry_;
  const std::string path_;
  base::metrics::Counter& panics_;
  base::metrics::Gauge& in_flight_;
  base::metrics::Histogram& latency_;
};

class ServerImpl final : public Server {
 public:
  // From the bytes of a review to those of its answer.
  using Judge = std::function<StatusOr<std::string>(const http::ServerRequest&, base::MonoTime,
                                                    std::stop_token)>;

  ServerImpl(std::shared_ptr<http::ServerTls> tls, std::unique_ptr<http::Server> http,
             const Options& options, base::Clock& clock, Registry& registry)
      : clock_(clock),
        registry_(registry),
        tls_(std::move(tls)),
        workers_(options.workers, clock),
        http_(std::move(http)),
        panics_(registry.GetCounter("controller_runtime_webhook_panics_total",
                                    "Total number of webhook panics")),
        conversion_panics_(registry.GetCounter("controller_runtime_conversion_webhook_panics_total",
                                               "Total number of conversion webhook panics")),
        reads_(registry.GetCounter("certwatcher_read_certificate_total",
                                   "Total number of certificate reads")),
        read_errors_(registry.GetCounter("certwatcher_read_certificate_errors_total",
                                         "Total number of certificate read errors")),
        expiry_(registry.GetGauge("sluice_webhook_certificate_expiry_seconds",
                                  "When the certificate served by webhooks ends (Unix time).")) {}
  ~ServerImpl() override { Stop(); }

  void Validate(std::string path, AdmissionHandler handler) override {
    Admit(std::move(path), std::move(handler), false);
  }
  void Mutate(std::string path, AdmissionHandler handler) override {
    Admit(std::move(path), std::move(handler), true);
  }
  void Convert(std::string path, Converter converter) override {
    Register(std::move(path), kMaxConversionBytes, conversion_panics_,
             [converter = std::move(converter)](const auto& request, auto, const auto&) {
               return ConvertReview(request.body, converter);
             });
  }

  Status SetCertificate(const base::KeyPair& pair) override {
    reads_.Add();
    const auto end = base::NotAfter(pair.certificate_pem);
    const Status status = end.ok() ? tls_->Set(pair) : end.status();
    if (!status.ok()) {
      read_errors_.Add();
      return status;
    }
    not_after_ = *end;
    expiry_.Set(std::chrono::duration<double>(end->time_since_epoch()).count());
    return status;
  }

  Status Ready() const override {
    if (!serving_) return base::Unavailable("webhooks are not served");
    if (clock_.Wall() >= not_after_.load()) {
      return base::Unavailable("the webhooks' certificate has ended");
    }
    return base::OkStatus();
  }

  Status Start() override {
    if (not_after_.load() == base::WallTime()) {
      return base::FailedPrecondition("webhooks have no certificate to serve under yet");
    }
    SLUICE_RETURN_IF_ERROR(http_->Start());
    serving_ = true;
    base::log::Info("webhooks served", {{"port", http_->port()}, {"webhooks", paths_.size()}});
    return base::OkStatus();
  }

  int port() const override { return http_->port(); }

  void Stop() override {
    serving_ = false;
    http_->Stop();
    workers_.Stop();
  }

 private:
  void Admit(std::string path, AdmissionHandler handler, bool may_change) {
    Register(
        std::move(path), kMaxReviewBytes, panics_,
        [handler = std::move(handler), may_change](const auto& request, auto deadline,
                                                   std::stop_token stop) -> StatusOr<std::string> {
          SLUICE_ASSIGN_OR_RETURN(AdmissionRequest question, AdmissionRequest::Parse(request.body));
          question.deadline = deadline;
          question.stop = std::move(stop);
          return RenderReview(question, handler(question), may_change);
        });
  }

  void Register(std::string path, std::size_t max_bytes, base::metrics::Counter& panics,
                Judge judge) {
    SLUICE_CHECK(!serving_ && paths_.size() < kMaxWebhooks && path.starts_with('/'));
    PathMetrics& metrics = paths_.emplace_back(registry_, path, panics);
    auto refused = [path, &metrics] {
      metrics.Answered(413).Add();
      base::log::Warn("webhook request was too long", {{"path", path}, {"code", 413}});
    };
    auto handle = [this, &metrics, judge = std::move(judge)](const http::ServerRequest& request) {
      return Serve(request, judge, metrics);
    };
    http_->Handle(std::move(path), std::move(handle),
                  {.max_body_bytes = max_bytes, .refused = std::move(refused)});
  }

  http::ServerResponse Serve(const http::ServerRequest& request, const Judge& judge,
                             PathMetrics& metrics) {
    const base::MonoTime began = clock_.Mono();
    metrics.in_flight().Add(1);
    http::ServerResponse answer = Answer(request, judge, metrics, began);
    metrics.in_flight().Add(-1);
    metrics.latency().Observe(std::chrono::duration<double>(clock_.Mono() - began).count());
    metrics.Answered(answer.status).Add();
    if (answer.status != 200) {
      base::log::Warn("webhook request was not decided",
                      {{"path", request.path}, {"code", answer.status}, {"answer", answer.body}});
    }
    return answer;
  }

  http::ServerResponse Answer(const http::ServerRequest& request, const Judge& judge,
                              PathMetrics& metrics, base::MonoTime began) {
    if (request.method != "POST") return Text(405, "reviews are posted");
    if (!http::FindHeader(request.headers, "Content-Type").starts_with("application/json")) {
      return Text(415, "reviews are application/json");
    }
    const auto timeout = TimeoutOf(http::FindHeader(request.query, "timeout"));
    const base::MonoTime deadline =
        began + timeout - std::min<std::chrono::milliseconds>(timeout / 4, kMargin);
    // The request outlives Run only in the work, so the work has its own copy.
    return workers_.Run(
        [request, judge, &metrics, deadline](const std::stop_token& stop) {
          return Judged(request, judge, metrics, deadline, stop);
        },
        deadline);
  }

  // The edge where a handler's exception becomes an answer.
  static http::ServerResponse Judged(const http::ServerRequest& request, const Judge& judge,
                                     PathMetrics& metrics, base::MonoTime deadline,
                                     const std::stop_token& stop) {
    std::string what = "of no known type";
    try {
      const StatusOr<std::string> review = judge(request, deadline, stop);
      if (review.ok()) return {200, "application/json", *review};
      const bool theirs = review.status().code() == base::Code::kInvalidArgument;
      return Text(theirs ? 400 : 500, review.status().message());
    } catch (const std::exception& error) {
      what = error.what();
    } catch (...) {
    }
    metrics.panics().Add();
    base::log::Error("webhook handler threw", {{"path", request.path}, {"error", what}});
    return Text(500, "the webhook failed");
  }

  base::Clock& clock_;
  Registry& registry_;
  const std::shared_ptr<http::ServerTls> tls_;
  std::list<PathMetrics> paths_;
  Workers workers_;
  const std::unique_ptr<http::Server> http_;
  base::metrics::Counter& panics_;
  base::metrics::Counter& conversion_panics_;
  base::metrics::Counter& reads_;
  base::metrics::Counter& read_errors_;
  base::metrics::Gauge& expiry_;
  std::atomic<base::WallTime> not_after_{base::WallTime()};
  std::atomic<bool> serving_{false};
};

}  // namespace

std::chrono::milliseconds TimeoutOf(std::string_view text) {
  double total = 0;  // milliseconds
  const char* at = text.data();
  const char* const end = at + text.size();
  bool good = !text.empty();
  while (good && at != end) {
    double number = 0;
    const auto [stop, error] = std::from_chars(at, end, number);
    const std::string_view rest(stop, static_cast<std::size_t>(end - stop));
    const std::pair<std::string_view, double> units[] = {
        {"ms", 1}, {"h", 3'600'000}, {"m", 60'000}, {"s", 1000}};
    const auto* const unit =
        std::ranges::find_if(units, [&](const auto& u) { return rest.starts_with(u.first); });
    good = error == std::errc() && number >= 0 && unit != std::end(units);
    if (good) {
      total += number * unit->second;
      at = stop + unit->first.size();
    }
  }
  const std::chrono::milliseconds most = kMaxTimeout;
  if (!good || total < 1) return kDefaultTimeout;
  return total >= static_cast<double>(most.count())
             ? most
             : std::chrono::milliseconds(static_cast<long>(total));
}

StatusOr<std::unique_ptr<Server>> Server::New(const Options& options, base::Clock& clock,
                                              Registry& registry) {
  if (options.workers < 1) return base::InvalidArgument("a webhook server needs a worker");
  const auto tls = std::make_shared<http::ServerTls>();
  // A thread of the HTTP server waits with each request that is being decided or waits for it.
  SLUICE_ASSIGN_OR_RETURN(auto http,
                          http::Server::New({.address = options.address,
                                             .threads = options.workers * (1 + kQueuedPerWorker),
                                             .tls = tls}));
  return std::unique_ptr<Server>(new ServerImpl(tls, std::move(http), options, clock, registry));
}

}  // namespace sluice::webhook
