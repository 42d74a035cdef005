// What http_probe asks of an HTTP client: the calls an API client makes, and no more.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::bench {

// The server, as a kubeconfig tells of it.
struct ProbePeer {
  int port = 0;  // of 127.0.0.1, over TLS
  std::string ca_pem;
  std::string token;
};

inline constexpr std::string_view kProbeApply =
    "/apis/bench.example.com/v1/namespaces/default/widgets/widget-1?fieldManager=probe&force=true";

// Every answer is checked to be a 200. Thread rule: one thread.
class ProbeClient {
 public:
  virtual ~ProbeClient() = default;
  // A PATCH of kProbeApply on a kept connection; the bytes of the answer's body.
  virtual std::size_t Apply(std::string_view body) = 0;
  // A GET whose body is streamed to a sink; its bytes.
  virtual std::size_t Watch(const std::string& target) = 0;
  // Opens connections as many threads at once would, until `count` are kept, all idle.
  virtual void KeepIdle(int count) = 0;
};

struct ProbeCandidate {
  std::string_view name;
  std::unique_ptr<ProbeClient> (*make)(const ProbePeer& peer);
};

std::unique_ptr<ProbeClient> MakeOwnProbe(const ProbePeer& peer);      // controller/http
std::unique_ptr<ProbeClient> MakeCurlProbe(const ProbePeer& peer);     // where libcurl is found
std::unique_ptr<ProbeClient> MakeHttplibProbe(const ProbePeer& peer);  // where cpp-httplib is

}  // namespace sluice::bench
