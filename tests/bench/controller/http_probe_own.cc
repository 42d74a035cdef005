#include "controller/base/check.h"
#include "controller/http/client.h"
#include "tests/bench/controller/http_probe_client.h"

namespace sluice::bench {
namespace {

class OwnProbe final : public ProbeClient {
 public:
  explicit OwnProbe(const ProbePeer& peer) : authorization_("Bearer " + peer.token) {
    auto made = http::Client::New({.base_url = "https://127.0.0.1:" + std::to_string(peer.port),
                                   .tls = {.ca_pem = peer.ca_pem}});
    SLUICE_CHECK(made.ok());
    client_ = std::move(made).value();
  }

  std::size_t Apply(std::string_view body) override {
    const http::HeaderView headers[] = {{"Accept", "application/json"},
                                        {"Content-Type", "application/apply-patch+yaml"},
                                        {"Authorization", authorization_}};
    const auto answer = client_->Do({.method = "PATCH",
                                     .target = std::string(kProbeApply),
                                     .more_headers = headers,
                                     .body = body});
    SLUICE_CHECK(answer.ok() && answer->status == 200);
    return answer->body.size();
  }

  std::size_t Watch(const std::string& target) override {
    std::size_t bytes = 0;
    Stream(target, [&](std::string_view piece) {
      bytes += piece.size();
      return base::OkStatus();
    });
    return bytes;
  }

  // A connection that still streams is not free: the next call, made by its sink, opens another.
  void KeepIdle(int count) override {
    if (count == 0) return;
    bool asked = false;
    Stream("/watch?lines=1&pause_us=0", [&](std::string_view) {
      if (!asked) KeepIdle(count - 1);
      asked = true;
      return base::OkStatus();
    });
  }

 private:
  void Stream(const std::string& target, const http::BodySink& sink) {
    const http::HeaderView headers[] = {{"Accept", "application/json"},
                                        {"Authorization", authorization_}};
    const auto answer = client_->Do({.target = target, .more_headers = headers}, sink);
    SLUICE_CHECK(answer.ok() && answer->status == 200);
  }

  const std::string authorization_;
  std::unique_ptr<http::Client> client_;
};

}  // namespace

std::unique_ptr<ProbeClient> MakeOwnProbe(const ProbePeer& peer) {
  return std::make_unique<OwnProbe>(peer);
}

}  // namespace sluice::bench
