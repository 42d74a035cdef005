// Numbered rules of TlsStream:
//  1. OpenSSL reads and writes through a BIO that calls the raw stream; "blocked" becomes its
//  retry,
//     so that edges of the raw stream are edges of this one. No bytes are buffered in between.
//  2. Reading may need to write and the other way round: every edge is told in both directions.
//  3. Every callback may destroy this stream; `alive_` is looked at before `this` is used again.
//  4. A connection that ends without close_notify is broken, not ended: truncation must show.
#include "datapath/origin/tls.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <vector>

namespace sluice::origin {
namespace {

using net::IoResult;

std::string LastError() {
  char text[256];
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  if (code == 0) return "no detail";
  ERR_error_string_n(code, text, sizeof text);
  return text;
}

int BioRead(BIO* bio, char* into, std::size_t size, std::size_t* got) {
  BIO_clear_retry_flags(bio);
  auto* raw = static_cast<net::Stream*>(BIO_get_data(bio));
  const IoResult result = raw->Read({into, size});
  *got = result.bytes;
  if (result.ok()) return 1;
  if (result.blocked()) BIO_set_retry_read(bio);
  return 0;
}

int BioWrite(BIO* bio, const char* from, std::size_t size, std::size_t* put) {
  BIO_clear_retry_flags(bio);
  auto* raw = static_cast<net::Stream*>(BIO_get_data(bio));
  const IoResult result = raw->Write(std::span<const char>(from, size), false);
  *put = result.bytes;
  if (result.ok()) return 1;
  if (result.blocked()) BIO_set_retry_write(bio);
  return 0;
}

long BioControl(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }

const BIO_METHOD* StreamBio() {
  static BIO_METHOD* const method = [] {
    BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "stream");
    BIO_meth_set_read_ex(made, BioRead);
    BIO_meth_set_write_ex(made, BioWrite);
    BIO_meth_set_ctrl(made, BioControl);
    return made;
  }();
  return method;
}

class TlsStream final : public net::Stream, public net::StreamHandler {
 public:
  TlsStream(std::unique_ptr<net::Stream> raw, SSL* ssl, net::StreamHandler* handler)
      : raw_(std::move(raw)), ssl_(ssl), handler_(handler) {
    BIO* bio = BIO_new(StreamBio());
    BIO_set_data(bio, raw_.get());
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl_, bio, bio);
    SSL_set_connect_state(ssl_);
    raw_->SetHandler(this);
  }
  ~TlsStream() override {
    if (alive_ != nullptr) *alive_ = false;
    if (up_ && !aborted_) SSL_shutdown(ssl_);  // best effort; the answer is not waited for
    SSL_free(ssl_);
  }

  void SetHandler(net::StreamHandler* handler) override {
    handler_ = handler;
    raw_->SetHandler(this);  // replays readiness
  }
  IoResult Read(std::span<char> into) override {
    if (!up_) return {};
    std::size_t got = 0;
    ERR_clear_error();
    const int result = SSL_read_ex(ssl_, into.data(), into.size(), &got);
    if (result == 1) return {.state = IoResult::State::kOk, .bytes = got};
    return Failure(SSL_get_error(ssl_, result));
  }
  IoResult Write(std::span<const iovec> pieces, bool more) override {
    if (!up_) return {};
    std::size_t total = 0;
    // Several small pieces go out as one record.
    if (pieces.size() > 1) {
      gather_.clear();
      for (const iovec& piece : pieces) {
        const std::size_t room = kRecordBytes - gather_.size();
        const auto* bytes = static_cast<const char*>(piece.iov_base);
        gather_.insert(gather_.end(), bytes, bytes + std::min(room, piece.iov_len));
        if (gather_.size() == kRecordBytes) break;
      }
      const iovec whole{gather_.data(), gather_.size()};
      return Write(std::span<const iovec>(&whole, 1), more);
    }
    for (const iovec& piece : pieces) {
      const auto* at = static_cast<const char*>(piece.iov_base);
      std::size_t left = piece.iov_len;
      while (left > 0) {
        std::size_t put = 0;
        ERR_clear_error();
        const int result = SSL_write_ex(ssl_, at, left, &put);
        if (result != 1) {
          const IoResult failure = Failure(SSL_get_error(ssl_, result));
          if (failure.blocked() && total > 0) break;
          return failure;
        }
        at += put;
        left -= put;
        total += put;
      }
      if (left > 0) break;
    }
    return {.state = IoResult::State::kOk, .bytes = total};
  }
  IoResult SendFile(int fd, std::uint64_t offset, std::size_t count, bool more) override {
    char buffer[kRecordBytes];
    const ssize_t got =
        ::pread(fd, buffer, std::min(count, sizeof buffer), static_cast<off_t>(offset));
    if (got <= 0) return {.state = IoResult::State::kBroken, .error = got < 0 ? errno : ENODATA};
    return net::Stream::Write(std::span<const char>(buffer, static_cast<std::size_t>(got)), more);
  }
  void ShutdownWrite() override {
    if (up_) SSL_shutdown(ssl_);
  }
  void Abort() override {
    aborted_ = true;
    raw_->Abort();
  }
  void SetDeadline(base::Duration from_now) override { raw_->SetDeadline(from_now); }
  void ClearDeadline() override { raw_->ClearDeadline(); }
  net::EventLoop& loop() override { return raw_->loop(); }
  const net::Address& peer() const override { return raw_->peer(); }
  bool sends_pages_by_reference() const override { return false; }

  void OnConnected() override { Shake(); }
  void OnReadable() override { Edge(); }
  void OnWritable() override { Edge(); }
  void OnDeadline() override {
    if (handler_ != nullptr) handler_->OnDeadline();
  }
  void OnBroken(const base::Status& why) override {
    if (handler_ != nullptr) handler_->OnBroken(why);
  }

 private:
  static constexpr std::size_t kRecordBytes = 16 << 10;

  void Edge() {
    if (!up_) {
      Shake();
      return;
    }
    if (handler_ == nullptr) return;
    bool alive = true;
    bool* const outer = std::exchange(alive_, &alive);
    handler_->OnReadable();
    if (alive && handler_ != nullptr) handler_->OnWritable();
    if (alive) {
      alive_ = outer;
    } else if (outer != nullptr) {
      *outer = false;
    }
  }

  void Shake() {
    if (failed_) return;
    ERR_clear_error();
    const int result = SSL_do_handshake(ssl_);
    if (result == 1) {
      up_ = true;
      if (handler_ != nullptr) handler_->OnConnected();
      return;
    }
    const int error = SSL_get_error(ssl_, result);
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) return;
    failed_ = true;
    const long verdict = SSL_get_verify_result(ssl_);
    const std::string why =
        verdict != X509_V_OK ? X509_verify_cert_error_string(verdict) : LastError();
    if (handler_ == nullptr) return;
    handler_->OnBroken(verdict != X509_V_OK
                           ? base::Unauthenticated("TLS to " + peer().ToString() + ": " + why)
                           : base::Unavailable("TLS to " + peer().ToString() + ": " + why));
  }

  static IoResult Failure(int error) {
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) return {};
    if (error == SSL_ERROR_ZERO_RETURN) return {.state = IoResult::State::kEof};
    ERR_clear_error();
    return {.state = IoResult::State::kBroken, .error = ECONNRESET};
  }

  std::unique_ptr<net::Stream> raw_;
  SSL* ssl_;
  net::StreamHandler* handler_;
  bool up_ = false;
  bool failed_ = false;
  bool aborted_ = false;
  bool* alive_ = nullptr;
  std::vector<char> gather_;
};

class Context final : public TlsContext {
 public:
  explicit Context(SSL_CTX* context) : context_(context) {}
  ~Context() override { SSL_CTX_free(context_); }

  base::StatusOr<std::unique_ptr<net::Stream>> Wrap(std::unique_ptr<net::Stream> raw,
                                                    const std::string& host,
                                                    net::StreamHandler* handler) override {
    SSL* ssl = SSL_new(context_);
    if (ssl == nullptr) return base::Internal("SSL_new: " + LastError());
    X509_VERIFY_PARAM* param = SSL_get0_param(ssl);
    const bool is_ip = net::Address::FromIp(host, 1).ok();
    const int named = is_ip ? X509_VERIFY_PARAM_set1_ip_asc(param, host.c_str())
                            : SSL_set1_host(ssl, host.c_str());
    if (named != 1 || (!is_ip && SSL_set_tlsext_host_name(ssl, host.c_str()) != 1)) {
      SSL_free(ssl);
      return base::Internal("TLS name \"" + host + "\": " + LastError());
    }
    return std::unique_ptr<net::Stream>(std::make_unique<TlsStream>(std::move(raw), ssl, handler));
  }

 private:
  SSL_CTX* context_;
};

base::Status AddAuthorities(SSL_CTX* context, const std::string& pem) {
  if (pem.empty()) {
    if (SSL_CTX_set_default_verify_paths(context) != 1)
      return base::Internal("system authorities: " + LastError());
    return base::OkStatus();
  }
  BIO* bio = BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()));
  int count = 0;
  while (X509* certificate = PEM_read_bio_X509(bio, nullptr, nullptr, nullptr)) {
    X509_STORE_add_cert(SSL_CTX_get_cert_store(context), certificate);
    X509_free(certificate);
    ++count;
  }
  BIO_free(bio);
  ERR_clear_error();  // reading past the last one leaves an error behind
  if (count == 0) return base::InvalidArgument("the CA text holds no PEM certificate");
  return base::OkStatus();
}

}  // namespace

base::StatusOr<std::shared_ptr<TlsContext>> TlsContext::Create(const std::string& ca_pem) {
  SSL_CTX* context = SSL_CTX_new(TLS_client_method());
  if (context == nullptr) return base::Internal("SSL_CTX_new: " + LastError());
  auto made = std::make_shared<Context>(context);
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                SSL_MODE_RELEASE_BUFFERS);
  static constexpr unsigned char kAlpn[] = "\x08http/1.1";
  SSL_CTX_set_alpn_protos(context, kAlpn, sizeof kAlpn - 1);
  SLUICE_RETURN_IF_ERROR(AddAuthorities(context, ca_pem));
  return std::shared_ptr<TlsContext>(std::move(made));
}

}  // namespace sluice::origin
