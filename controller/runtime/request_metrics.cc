#include "controller/runtime/request_metrics.h"

#include <chrono>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <vector>

#include "controller/runtime/limits.h"

namespace sluice::runtime {

namespace {

using base::metrics::Counter;
using base::metrics::Histogram;
using client::RequestRecord;

class Series {
 public:
  explicit Series(base::metrics::Registry& registry) : registry_(registry) {}

  void Note(const RequestRecord& record) {
    const Kept series = Find(record);
    series.requests->Add();
    if (record.duration) {
      series.seconds->Observe(std::chrono::duration<double>(*record.duration).count());
    }
  }

  // Rare: the series are looked up each time.
  void NoteThrottled(const client::ThrottleRecord& record) {
    const base::metrics::Labels labels = {{"code", std::to_string(record.code)},
                                          {"host", std::string(record.host)},
                                          {"priority_level", std::string(record.priority_level)}};
    registry_
        .GetCounter("rest_client_throttled_total",
                    "Answers by which the server asked us to come later (429 or 5xx with "
                    "Retry-After), by status code, host and the UID of the priority level.",
                    labels)
        .Add(record.refusals);
    registry_
        .GetCounter("rest_client_throttled_seconds_total",
                    "Seconds requests waited because the server asked for it, in the client or "
                    "with the caller of a call that was given up.",
                    labels)
        .Add(std::chrono::duration<double>(record.waited).count());
  }

 private:
  struct Kept {
    int code;
    std::string method;
    std::string host;
    Counter* requests;
    Histogram* seconds;
  };

  Kept Find(const RequestRecord& record) {
    {
      const std::shared_lock lock(mutex_);
      for (const Kept& kept : kept_) {
        if (kept.code == record.code && kept.method == record.method && kept.host == record.host) {
          return {kept.code, {}, {}, kept.requests, kept.seconds};
        }
      }
    }
    Kept made = Make(record);
    const std::lock_guard lock(mutex_);
    if (kept_.size() < kMaxKeptSeries) kept_.push_back(made);  // twice does no harm
    return made;
  }

  Kept Make(const RequestRecord& record) {
    static const std::vector<double> kBounds = {0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6,
                                                0.8,   1,     2,    4,   10,  20,  60};
    Kept made{record.code, std::string(record.method), std::string(record.host), nullptr, nullptr};
    const std::string code = record.code == 0 ? "<error>" : std::to_string(record.code);
    made.requests = &registry_.GetCounter(
        "rest_client_requests_total",
        "Number of HTTP requests, partitioned by status code, method, and host.",
        {{"code", code}, {"host", made.host}, {"method", made.method}});
    made.seconds =
        &registry_.GetHistogram("rest_client_request_duration_seconds",
                                "Request latency in seconds. Broken down by verb, and host.",
                                kBounds, {{"host", made.host}, {"verb", made.method}});
    return made;
  }

  base::metrics::Registry& registry_;
  std::shared_mutex mutex_;
  std::vector<Kept> kept_;  // guarded by mutex_
};

}  // namespace

client::RequestObserver RequestMetrics(base::metrics::Registry& registry) {
  const auto series = std::make_shared<Series>(registry);
  return {.request = [series](const RequestRecord& record) { series->Note(record); },
          .throttle =
              [series](const client::ThrottleRecord& record) { series->NoteThrottled(record); }};
}

}  // namespace sluice::runtime
