// Internal to this folder: one try of a simulated agent to be connected: socket, TLS, HTTP/2 and
// gRPC's messages, as far as AgentControl.Connect needs them. No thread of its own and one TLS
// context for all, so that one process carries thousands: with gRPC's client each agent makes a
// context and looks up key decoders, which is most of what such a process would do.
//
// On the wire as an agent's: TLS 1.3 over P-256 with a client certificate, the server verified by
// authority and name, ALPN h2. Agents themselves have gRPC's client (datapath/control).
// Thread rule: one thread.
#pragma once

#include <netinet/in.h>
#include <nghttp2/nghttp2.h>
#include <openssl/ssl.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "api/agent/v1/agent.pb.h"
#include "controller/base/openssl.h"
#include "controller/base/status.h"
#include "controller/rpc/framing.h"

namespace sluice::bench {

template <auto kFree>
using Freed = base::openssl::Freer<kFree>;
using TlsContext = std::unique_ptr<SSL_CTX, Freed<SSL_CTX_free>>;

// Servers are believed under this authority alone.
TlsContext MakeClientContext(const std::string& authority_pem);

class LoadStream {
 public:
  using Take = std::function<void(const agent::v1::ControllerMessage&)>;
  struct Host {
    SSL_CTX* tls = nullptr;
    EVP_PKEY* key = nullptr;
    sockaddr_in to{};
    int epoll = -1;
  };

  // Begins to connect. What the socket does comes back from `host.epoll` with `tag`, for Go. `host`
  // and `certificate` outlive the stream.
  LoadStream(const Host& host, X509* certificate, void* tag, Take take);
  ~LoadStream();
  LoadStream(const LoadStream&) = delete;
  LoadStream& operator=(const LoadStream&) = delete;

  // Goes on with what the socket allows now. After an error of this the stream is over.
  base::Status Go();
  // Kept until the way is open. Sent by the next Go.
  void Say(const agent::v1::AgentMessage& message);
  void Ping();

 private:
  friend struct LoadFrames;  // nghttp2's callbacks
  base::Status Connect();
  base::Status Shake();
  base::Status Open();
  base::Status Read();
  base::Status Write();
  base::Status Wait(int result);  // of a call of OpenSSL's that did not get through
  base::Status Watch(std::uint32_t events);

  const Host& host_;
  void* const tag_;
  const Take take_;
  int fd_ = -1;
  std::unique_ptr<SSL, Freed<SSL_free>> tls_;
  std::unique_ptr<nghttp2_session, Freed<nghttp2_session_del>> http2_;
  enum class State { kConnecting, kShaking, kOpen } state_ = State::kConnecting;
  std::uint32_t watched_ = 0;
  std::int32_t call_ = -1;
  std::string said_;    // messages with their prefixes, not yet in a frame
  std::string unsent_;  // frames
  rpc::MessageReader reader_;
  base::Status broken_;  // found within a callback
};

}  // namespace sluice::bench
