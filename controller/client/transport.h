// One exchange with an API server, whatever it is about: credentials, 401 and rotation, 429 and
// 5xx with Retry-After inside the deadline, its own and that of others (throttle.h), warnings,
// typed errors, the observer. The verbs stand above it (client.cc). Thread rule and stop: as
// client.h.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "controller/base/clock.h"
#include "controller/client/client.h"
#include "controller/client/credentials.h"
#include "controller/client/throttle.h"
#include "controller/client/tls_order.h"
#include "controller/http/client.h"

namespace sluice::client {

class Transport {
 public:
  // Texts must live until Send returns.
  struct Call {
    std::string_view method = "GET";
    std::string_view target;
    std::string_view accept = "application/json";
    std::string_view content_type;  // empty: no body
    std::string_view body;
    std::chrono::milliseconds timeout{0};  // 0: the configured one
    // A stream whose server is silent for this long is over, and no error; 0: no stream.
    std::chrono::milliseconds silence{0};
    std::stop_token stop;
  };

  static base::StatusOr<std::unique_ptr<Transport>> Make(const Config& config, base::Clock& clock);

  // The answer of a 2xx; errors are typed as client.h says. Any thread.
  base::StatusOr<http::Response> Send(const Call& call, const http::BodySink& sink = nullptr);
  void Observe(RequestObserver observer);
  void Stop();

 private:
  Transport(const Config& config, base::Clock& clock) : config_(config), clock_(clock) {}

  struct Attempt {
    base::StatusOr<http::Response> answer = base::Internal("not tried");
    std::shared_ptr<const Credentials::Material> material;  // it was made with
  };
  // Lets a plugin ask its person; whatever comes of it, Current then knows. Returns `deadline`
  // moved by the time that took, which is not the call's.
  base::MonoTime AfterPerson(const std::shared_ptr<const Credentials::Material>& refused,
                             Credentials::Unknown unknown, const Call& call,
                             base::MonoTime deadline);
  Attempt Try(const Call& call, const http::BodySink& sink, base::MonoTime deadline);
  // Waits until nothing holds a call of this kind, which was itself asked to wait for `own`, or
  // until it is stopped, which the next try then notices. False when that is beyond the deadline:
  // *held then tells what.
  bool Admit(const std::string& kind, const Throttle::Hold& own, const Call& call,
             base::MonoTime deadline, Throttle::Hold* held);
  // What an answer told of priority levels, and whether it lets others wait.
  Throttle::Hold Learn(const std::string& kind, const http::Response& answer,
                       const base::Status& refusal);
  void TellThrottled(const Throttle::Hold& by, int refusals, std::chrono::nanoseconds waited);
  void UseTls(const Credentials::Material& material);
  void LogWarnings(const http::Response& response);

  const Config config_;
  base::Clock& clock_;
  std::string host_;
  std::unique_ptr<Credentials> credentials_;
  std::unique_ptr<http::Client> http_;
  RequestObserver observer_;
  TlsOrder tls_order_;  // of the material http_ uses

  std::mutex mutex_;  // guards what follows
  std::condition_variable wake_;
  bool stopped_ = false;
  Throttle throttle_;
  int waiting_ = 0;  // calls inside Admit's wait
  std::set<std::string> warnings_;
};

}  // namespace sluice::client
