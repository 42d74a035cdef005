// Numbered rules of TlsStream:
//  1. OpenSSL reads and writes through a BIO that calls the raw stream; "blocked" becomes its
//     retry, so that edges of the raw stream are edges of this one. No bytes are buffered between.
//  2. Reading may need to write and the other way round: every edge is told in both directions.
//  3. Every callback may destroy this stream; `alive_` is looked at before `this` is used again.
//  4. A connection that ends without close_notify is broken, not ended: truncation must show.
//  5. Read() fills what it is given as far as there is anything: less than asked for means that
//     nothing more is here, as with a socket. What came with the handshake's last flight, or in
//     front of the end, has no edge of its own: the raw stream is made to tell its state again.
//  6. A record that the socket did not take is encrypted already and goes first. So a Write() that
//     was blocked is repeated with the same bytes, or more behind them, as all callers do; one that
//     begins otherwise breaks the connection instead of mixing two answers.
//  7. Once the kernel has the keys, what is written goes straight to the raw stream; OpenSSL writes
//     alerts and other records that are not data, by their type. It would not write new keys, so a
//     peer that asks us for them (nobody does within 2^24 records) is refused.
#include "datapath/net/tls_stream.h"

#include <linux/tls.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "controller/base/check.h"

namespace sluice::net {
namespace {

constexpr std::size_t kRecordBytes = 16 << 10;

// What OpenSSL's BIO refers to.
struct RawEnd {
  Stream* stream;
  bool more = false;     // further records follow at once
  bool kernel = false;   // encrypts
  int record_type = -1;  // of what is written next, if it is no data
};

int BioRead(BIO* bio, char* into, std::size_t size, std::size_t* got) {
  BIO_clear_retry_flags(bio);
  const IoResult result = static_cast<RawEnd*>(BIO_get_data(bio))->stream->Read({into, size});
  *got = result.bytes;
  if (result.ok()) return 1;
  if (result.blocked()) BIO_set_retry_read(bio);
  return 0;
}

int BioWrite(BIO* bio, const char* from, std::size_t size, std::size_t* put) {
  BIO_clear_retry_flags(bio);
  auto* raw = static_cast<RawEnd*>(BIO_get_data(bio));
  const std::span<const char> bytes(from, size);
  const IoResult result =
      raw->record_type < 0
          ? raw->stream->Write(bytes, raw->more)
          : raw->stream->WriteRecord(static_cast<unsigned char>(raw->record_type), bytes);
  *put = result.bytes;
  if (result.ok() && result.bytes == size) raw->record_type = -1;
  if (result.ok()) return 1;
  if (result.blocked()) BIO_set_retry_write(bio);
  return 0;
}

std::size_t KernelInfoBytes(const void* info) {
  switch (static_cast<const tls_crypto_info*>(info)->cipher_type) {
    case TLS_CIPHER_AES_GCM_128:
      return sizeof(tls12_crypto_info_aes_gcm_128);
    case TLS_CIPHER_AES_GCM_256:
      return sizeof(tls12_crypto_info_aes_gcm_256);
    case TLS_CIPHER_CHACHA20_POLY1305:
      return sizeof(tls12_crypto_info_chacha20_poly1305);
    default:
      return 0;
  }
}

// What OpenSSL 3 asks of a BIO that may have the kernel encrypt; bio.h has the first and the last
// two as comments only.
enum Command : int {
  kFlush = BIO_CTRL_FLUSH,
  kTakeKeys = 72,  // argument: whether to send; pointer: a tls12_crypto_info_*
  kKernelSends = BIO_CTRL_GET_KTLS_SEND,
  kSetRecordType = 74,
  kClearRecordType = 75,
};

long BioControl(BIO* bio, int command, long argument, void* pointer) {
  auto* raw = static_cast<RawEnd*>(BIO_get_data(bio));
  switch (command) {
    case kFlush:
      return 1;  // no bytes lie here
    case kTakeKeys: {
      if (argument == 0) return 0;  // what comes is read ahead as it is
      const std::size_t size = KernelInfoBytes(pointer);
      raw->kernel =
          size > 0 && raw->stream->EncryptInKernel({static_cast<const char*>(pointer), size});
      return raw->kernel ? 1 : 0;
    }
    case kKernelSends:
      return raw->kernel ? 1 : 0;
    case kSetRecordType:
      raw->record_type = static_cast<int>(argument);
      return 1;
    case kClearRecordType:
      raw->record_type = -1;
      return 1;
    default:
      return 0;
  }
}

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

class TlsStream final : public Stream, public StreamHandler {
 public:
  TlsStream(std::unique_ptr<Stream> raw, SSL* ssl, TlsRole role, StreamHandler* handler,
            std::shared_ptr<const void> keep)
      : keep_(std::move(keep)),
        raw_(std::move(raw)),
        raw_end_{.stream = raw_.get()},
        ssl_(ssl),
        role_(role),
        handler_(handler) {
    BIO* bio = BIO_new(StreamBio());
    SLUICE_CHECK(bio != nullptr);
    BIO_set_data(bio, &raw_end_);
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl_, bio, bio);
    if (role_ == TlsRole::kServer) {
      if (raw_->OfferKernelTls()) SSL_set_options(ssl_, SSL_OP_ENABLE_KTLS);
      SSL_set_accept_state(ssl_);
    } else {
      SSL_set_connect_state(ssl_);
    }
    raw_->SetHandler(this);
  }
  ~TlsStream() override {
    if (alive_ != nullptr) *alive_ = false;
    if (up_ && !aborted_) SSL_shutdown(ssl_);  // best effort; the answer is not waited for
    SSL_free(ssl_);
  }

  void SetHandler(StreamHandler* handler) override {
    handler_ = handler;
    raw_->SetHandler(this);  // replays readiness
  }
  IoResult Read(std::span<char> into) override {
    if (!up_) return {};
    std::size_t total = 0;
    while (total < into.size()) {
      std::size_t got = 0;
      ERR_clear_error();
      const int result = SSL_read_ex(ssl_, into.data() + total, into.size() - total, &got);
      if (result != 1) {
        const IoResult failure = Failure(SSL_get_error(ssl_, result));
        if (total == 0) return failure;
        if (!failure.blocked()) raw_->SetHandler(this);
        break;
      }
      total += got;
    }
    return {.state = IoResult::State::kOk, .bytes = total};
  }
  // Several small pieces go out as one record.
  IoResult Write(std::span<const iovec> pieces, bool more) override {
    if (!up_) return {};
    if (raw_end_.kernel) return WriteThrough(pieces, more);
    if (pieces.size() == 1) {
      return Encrypt({static_cast<const char*>(pieces[0].iov_base), pieces[0].iov_len}, more);
    }
    static thread_local std::array<char, kRecordBytes> record;
    std::size_t size = 0;
    std::size_t offered = 0;
    for (const iovec& piece : pieces) {
      const std::size_t part = std::min(piece.iov_len, record.size() - size);
      if (part > 0) std::memcpy(record.data() + size, piece.iov_base, part);
      size += part;
      offered += piece.iov_len;
    }
    return Encrypt({record.data(), size}, more || offered > size);
  }
  // The last record always goes at once: what follows may still have to come from an origin.
  IoResult SendPages(std::span<const char> pages, bool) override {
    if (up_ && raw_end_.kernel) return Stream::Write(pages, false);
    return up_ ? Encrypt(pages, false) : IoResult{};
  }
  void HoldSegments(bool hold) override { raw_->HoldSegments(hold); }
  void ShutdownWrite() override {
    ending_ = true;
    End();
  }
  void Abort() override {
    aborted_ = true;
    raw_->Abort();
  }
  void SetDeadline(base::Duration from_now) override { raw_->SetDeadline(from_now); }
  void ClearDeadline() override { raw_->ClearDeadline(); }
  EventLoop& loop() override { return raw_->loop(); }
  const Address& peer() const override { return raw_->peer(); }
  bool encrypted_by_kernel() const { return raw_end_.kernel; }

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
  IoResult WriteThrough(std::span<const iovec> pieces, bool more) {  // rule 7
    if (SSL_get_key_update_type(ssl_) != SSL_KEY_UPDATE_NONE)
      return {.state = IoResult::State::kBroken, .error = EPROTO};
    return raw_->Write(pieces, more);
  }

  IoResult Encrypt(std::span<const char> bytes, bool more) {
    const std::size_t seen = std::min(blocked_size_, bytes.size());
    if (seen > 0 && std::memcmp(bytes.data(), blocked_.data(), seen) != 0)  // rule 6
      return {.state = IoResult::State::kBroken, .error = EPROTO};
    std::size_t total = 0;
    IoResult failure;
    while (total < bytes.size()) {
      const std::size_t left = bytes.size() - total;
      std::size_t put = 0;
      raw_end_.more = more || left > kRecordBytes;
      ERR_clear_error();
      const int result = SSL_write_ex(ssl_, bytes.data() + total, left, &put);
      if (result != 1) {
        failure = Failure(SSL_get_error(ssl_, result));
        break;
      }
      blocked_size_ = 0;
      total += put;
    }
    raw_end_.more = false;
    if (total < bytes.size() && failure.blocked()) {
      blocked_size_ = std::min(blocked_.size(), bytes.size() - total);
      std::memcpy(blocked_.data(), bytes.data() + total, blocked_size_);
    }
    if (total == 0 || (total < bytes.size() && !failure.blocked())) return failure;
    return {.state = IoResult::State::kOk, .bytes = total};
  }

  // Says the end in TLS, once the socket takes it, and then below. A client's socket stays open for
  // what the server still says.
  void End() {
    if (up_) {
      ERR_clear_error();
      const int result = SSL_shutdown(ssl_);
      if (result < 0 && SSL_get_error(ssl_, result) == SSL_ERROR_WANT_WRITE) return;
    }
    ending_ = false;
    if (role_ == TlsRole::kServer) raw_->ShutdownWrite();
  }

  void Edge() {
    if (!up_) {
      Shake();
      return;
    }
    if (ending_) End();
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
      if (handler_ == nullptr) return;
      if (role_ == TlsRole::kServer) raw_->SetHandler(this);
      handler_->OnConnected();  // may destroy this
      return;
    }
    const int error = SSL_get_error(ssl_, result);
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) return;
    failed_ = true;
    const long verdict = SSL_get_verify_result(ssl_);
    const std::string why =
        verdict != X509_V_OK ? X509_verify_cert_error_string(verdict) : TlsError();
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

  const std::shared_ptr<const void> keep_;
  std::unique_ptr<Stream> raw_;
  RawEnd raw_end_;
  SSL* ssl_;
  const TlsRole role_;
  StreamHandler* handler_;
  bool up_ = false;
  bool failed_ = false;
  bool aborted_ = false;
  bool ending_ = false;  // ShutdownWrite() was called, and its word is not out yet
  bool* alive_ = nullptr;
  // How the bytes of the last blocked Write() begin (rule 6).
  std::array<char, 64> blocked_;
  std::size_t blocked_size_ = 0;
};

}  // namespace

bool IsEncryptedByKernel(Stream& stream) {
  return static_cast<TlsStream&>(stream).encrypted_by_kernel();
}

std::string TlsError() {
  char text[256];
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  if (code == 0) return "no detail";
  ERR_error_string_n(code, text, sizeof text);
  return text;
}

std::unique_ptr<Stream> MakeTlsStream(std::unique_ptr<Stream> raw, ssl_st* ssl, TlsRole role,
                                      StreamHandler* handler, std::shared_ptr<const void> keep) {
  return std::make_unique<TlsStream>(std::move(raw), ssl, role, handler, std::move(keep));
}

}  // namespace sluice::net
