#include "tests/bench/agents/load_stream.h"

#include <netinet/tcp.h>
#include <openssl/err.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "controller/base/check.h"
#include "datapath/control/limits.h"

namespace sluice::bench {
namespace {

constexpr const char* kServerName = "sluice-controller";
constexpr std::size_t kAtOnce = 16 << 10;  // a TLS record

nghttp2_nv Field(std::string_view name, std::string_view value) {
  const auto bytes = [](std::string_view text) {
    return reinterpret_cast<std::uint8_t*>(const_cast<char*>(text.data()));
  };
  return {bytes(name), bytes(value), name.size(), value.size(), NGHTTP2_NV_FLAG_NONE};
}

}  // namespace

struct LoadFrames {
  static const nghttp2_session_callbacks* Callbacks() {
    static const nghttp2_session_callbacks* const made = [] {
      nghttp2_session_callbacks* all = nullptr;
      SLUICE_CHECK(nghttp2_session_callbacks_new(&all) == 0);
      nghttp2_session_callbacks_set_on_data_chunk_recv_callback(all, OnData);
      nghttp2_session_callbacks_set_on_stream_close_callback(all, OnClosed);
      return all;
    }();
    return made;
  }
  static int OnData(nghttp2_session*, std::uint8_t /*flags*/, std::int32_t /*id*/,
                    const std::uint8_t* data, std::size_t size, void* self) {
    auto& stream = *static_cast<LoadStream*>(self);
    const base::Status fed = stream.reader_.Feed(
        {reinterpret_cast<const char*>(data), size}, [&](std::string_view bytes) {
          agent::v1::ControllerMessage message;
          if (message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
            stream.take_(message);
          } else {
            stream.broken_ = base::Internal("not a ControllerMessage");
          }
        });
    if (!fed.ok()) stream.broken_ = fed;
    return 0;
  }
  static int OnClosed(nghttp2_session*, std::int32_t /*id*/, std::uint32_t /*error*/, void* self) {
    static_cast<LoadStream*>(self)->broken_ = base::Unavailable("the call is over");
    return 0;
  }
  static ssize_t Read(nghttp2_session*, std::int32_t /*id*/, std::uint8_t* to, std::size_t most,
                      std::uint32_t* /*flags*/, nghttp2_data_source* source, void* /*self*/) {
    std::string& said = static_cast<LoadStream*>(source->ptr)->said_;
    if (said.empty()) return NGHTTP2_ERR_DEFERRED;
    const std::size_t some = std::min(most, said.size());
    std::memcpy(to, said.data(), some);
    said.erase(0, some);
    return static_cast<ssize_t>(some);
  }
};

TlsContext MakeClientContext(const std::string& authority_pem) {
  TlsContext context(SSL_CTX_new(TLS_client_method()));
  SLUICE_CHECK(context != nullptr);
  SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
  SSL_CTX_set_mode(context.get(), SSL_MODE_NO_AUTO_CHAIN | SSL_MODE_RELEASE_BUFFERS |
                                      SSL_MODE_ENABLE_PARTIAL_WRITE |
                                      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  // What gRPC's client offers; OpenSSL's own first choice would be X25519.
  SLUICE_CHECK(SSL_CTX_set1_groups_list(context.get(), "P-256") == 1);
  constexpr unsigned char kProtocols[] = {2, 'h', '2'};
  SLUICE_CHECK(SSL_CTX_set_alpn_protos(context.get(), kProtocols, sizeof(kProtocols)) == 0);
  const auto authority = base::openssl::ReadCertificate(authority_pem);
  SLUICE_CHECK(authority.ok());
  SLUICE_CHECK(X509_STORE_add_cert(SSL_CTX_get_cert_store(context.get()), authority->get()) == 1);
  return context;
}

LoadStream::LoadStream(const Host& host, X509* certificate, void* tag, Take take)
    : host_(host),
      tag_(tag),
      take_(std::move(take)),
      fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)),
      tls_(SSL_new(host.tls)),
      reader_(control::kMaxDownwardMessageBytes) {
  SLUICE_CHECK(fd_ >= 0 && tls_ != nullptr);
  SLUICE_CHECK(SSL_use_cert_and_key(tls_.get(), certificate, host.key, nullptr, 1) == 1);
  SLUICE_CHECK(SSL_set1_host(tls_.get(), kServerName) == 1);
  SLUICE_CHECK(SSL_set_tlsext_host_name(tls_.get(), kServerName) == 1);
  SLUICE_CHECK(SSL_set_fd(tls_.get(), fd_) == 1);
  const int one = 1;
  setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
  // Whether it is refused at once or later, epoll tells.
  static_cast<void>(connect(fd_, reinterpret_cast<const sockaddr*>(&host_.to), sizeof(host_.to)));
  epoll_event event{.events = EPOLLOUT, .data = {.ptr = tag_}};
  SLUICE_CHECK(epoll_ctl(host_.epoll, EPOLL_CTL_ADD, fd_, &event) == 0);
  watched_ = EPOLLOUT;
}

LoadStream::~LoadStream() {
  ERR_clear_error();
  close(fd_);
}

base::Status LoadStream::Watch(std::uint32_t events) {
  if (std::exchange(watched_, events) == events) return base::OkStatus();
  epoll_event event{.events = events, .data = {.ptr = tag_}};
  SLUICE_CHECK(epoll_ctl(host_.epoll, EPOLL_CTL_MOD, fd_, &event) == 0);
  return base::OkStatus();
}

base::Status LoadStream::Wait(int result) {
  const int error = SSL_get_error(tls_.get(), result);
  ERR_clear_error();
  if (error == SSL_ERROR_WANT_READ) return Watch(EPOLLIN);
  if (error == SSL_ERROR_WANT_WRITE) return Watch(EPOLLIN | EPOLLOUT);
  return base::Unavailable("the connection ended");
}

base::Status LoadStream::Go() {
  if (state_ == State::kConnecting) SLUICE_RETURN_IF_ERROR(Connect());
  if (state_ == State::kShaking) SLUICE_RETURN_IF_ERROR(Shake());
  if (state_ != State::kOpen) return base::OkStatus();
  SLUICE_RETURN_IF_ERROR(Read());
  return Write();
}

base::Status LoadStream::Connect() {
  int error = 0;
  socklen_t size = sizeof(error);
  getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &size);
  if (error != 0) return base::FromErrno(error, "connect");
  state_ = State::kShaking;
  return base::OkStatus();
}

base::Status LoadStream::Shake() {
  ERR_clear_error();
  const int result = SSL_connect(tls_.get());
  if (result != 1) return Wait(result);
  state_ = State::kOpen;
  return Open();
}

base::Status LoadStream::Open() {
  nghttp2_session* http2 = nullptr;
  SLUICE_CHECK(nghttp2_session_client_new(&http2, LoadFrames::Callbacks(), this) == 0);
  http2_.reset(http2);
  const nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_ENABLE_PUSH, 0}};
  SLUICE_CHECK(nghttp2_submit_settings(http2, NGHTTP2_FLAG_NONE, settings, std::size(settings)) ==
               0);
  const nghttp2_nv head[] = {
      Field(":scheme", "https"),         Field(":method", "POST"),
      Field(":authority", kServerName),  Field(":path", "/sluice.agent.v1.AgentControl/Connect"),
      Field("te", "trailers"),           Field("content-type", "application/grpc"),
      Field("user-agent", "agents_load")};
  const nghttp2_data_provider body{.source = {.ptr = this}, .read_callback = LoadFrames::Read};
  call_ = nghttp2_submit_request(http2, nullptr, head, std::size(head), &body, nullptr);
  SLUICE_CHECK(call_ > 0);
  return base::OkStatus();
}

base::Status LoadStream::Read() {
  static std::array<unsigned char, kAtOnce> buffer;  // one for all streams of the one thread
  while (broken_.ok()) {
    ERR_clear_error();
    const int n = SSL_read(tls_.get(), buffer.data(), static_cast<int>(buffer.size()));
    if (n <= 0) return Wait(n);
    if (nghttp2_session_mem_recv(http2_.get(), buffer.data(), static_cast<std::size_t>(n)) < 0) {
      return base::Internal("not HTTP/2");
    }
  }
  return broken_;
}

base::Status LoadStream::Write() {
  while (true) {
    while (unsent_.size() < kAtOnce) {
      const std::uint8_t* bytes = nullptr;
      const ssize_t n = nghttp2_session_mem_send(http2_.get(), &bytes);
      if (n < 0) return base::Internal(nghttp2_strerror(static_cast<int>(n)));
      if (n == 0) break;
      unsent_.append(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(n));
    }
    if (unsent_.empty()) return Watch(EPOLLIN);
    ERR_clear_error();
    const int n = SSL_write(tls_.get(), unsent_.data(), static_cast<int>(unsent_.size()));
    if (n <= 0) return Wait(n);
    unsent_.erase(0, static_cast<std::size_t>(n));
  }
}

void LoadStream::Say(const agent::v1::AgentMessage& message) {
  const std::string bytes = message.SerializeAsString();
  const rpc::Prefix prefix = rpc::PrefixOf(bytes.size());
  said_.append(prefix.data(), prefix.size()).append(bytes);
  if (http2_ != nullptr) nghttp2_session_resume_data(http2_.get(), call_);
}

void LoadStream::Ping() {
  if (http2_ != nullptr) nghttp2_submit_ping(http2_.get(), NGHTTP2_FLAG_NONE, nullptr);
}

}  // namespace sluice::bench
