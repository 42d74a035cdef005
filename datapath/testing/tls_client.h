// A client of TLS towards the agent, for tests: blocking, one connection.
#pragma once

#include <openssl/pem.h>
#include <openssl/ssl.h>

#include <string>

#include "datapath/http1/response.h"
#include "datapath/testing/server_rig.h"

namespace sluice::testing {

// One blocking TLS connection, 20 s a call.
class TlsClient {
 public:
  struct Options {
    std::string name = "data.lab";  // asked for and, with `ca`, verified
    std::string ca;                 // PEM; empty: anything is believed
    int max_version = TLS1_3_VERSION;
    const char* alpn = nullptr;  // in wire form
  };
  TlsClient(const net::Address& address, const Options& options)
      : context_(SSL_CTX_new(TLS_client_method())) {
    fd_ = net::UniqueFd(::socket(AF_INET, SOCK_STREAM, 0));
    const timeval limit{.tv_sec = 20, .tv_usec = 0};
    ::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    SLUICE_CHECK(::connect(fd_.get(), address.get(), address.length()) == 0);
    SSL_CTX_set_min_proto_version(context_, TLS1_VERSION);
    SSL_CTX_set_max_proto_version(context_, options.max_version);
    SSL_CTX_set_security_level(context_, 0);
    if (!options.ca.empty()) {
      BIO* bio = BIO_new_mem_buf(options.ca.data(), static_cast<int>(options.ca.size()));
      X509* ca = PEM_read_bio_X509(bio, nullptr, nullptr, nullptr);
      X509_STORE_add_cert(SSL_CTX_get_cert_store(context_), ca);
      X509_free(ca);
      BIO_free(bio);
      SSL_CTX_set_verify(context_, SSL_VERIFY_PEER, nullptr);
    }
    ssl_ = SSL_new(context_);
    if (options.alpn != nullptr)
      SSL_set_alpn_protos(ssl_, reinterpret_cast<const unsigned char*>(options.alpn),
                          static_cast<unsigned>(std::strlen(options.alpn)));
    if (!options.name.empty()) {
      SSL_set_tlsext_host_name(ssl_, options.name.c_str());
      SSL_set1_host(ssl_, options.name.c_str());
    }
    SSL_set_fd(ssl_, fd_.get());
    up_ = SSL_connect(ssl_) == 1;
    verdict_ = SSL_get_verify_result(ssl_);
  }
  TlsClient(const TlsClient&) = delete;
  TlsClient& operator=(const TlsClient&) = delete;
  ~TlsClient() {
    if (up_) SSL_shutdown(ssl_);
    SSL_free(ssl_);
    SSL_CTX_free(context_);
  }
  bool up() const { return up_; }
  long verdict() const { return verdict_; }
  int version() const { return SSL_version(ssl_); }
  std::string cipher() const { return SSL_get_cipher_name(ssl_); }
  std::string subject() const {
    X509* const leaf = SSL_get0_peer_certificate(ssl_);
    char text[256] = "";
    if (leaf != nullptr)
      X509_NAME_get_text_by_NID(X509_get_subject_name(leaf), NID_commonName, text, sizeof text);
    return text;
  }
  void Send(std::string_view bytes) {
    while (!bytes.empty()) {
      const int sent = SSL_write(ssl_, bytes.data(), static_cast<int>(bytes.size()));
      if (sent <= 0) return;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
  }
  bool ReadMore() {
    char bytes[64 << 10];
    const int got = SSL_read(ssl_, bytes, sizeof bytes);
    if (got <= 0) return false;
    buffer_.append(bytes, static_cast<std::size_t>(got));
    return true;
  }
  Answer Receive() {
    Answer answer;
    http1::ResponseParser parser;
    http1::ParseResult parsed;
    while ((parsed = parser.Parse(buffer_, http1::Method::kGet)).state ==
           http1::ParseState::kNeedMore)
      if (!ReadMore()) return answer;
    if (parsed.state == http1::ParseState::kError) return answer;
    answer.status = parser.response().status;
    const std::uint64_t length = parser.response().content_length;
    buffer_.erase(0, parsed.consumed);
    while (buffer_.size() < length && ReadMore()) {
    }
    answer.body = buffer_.substr(0, length);
    answer.whole = answer.body.size() == length;
    buffer_.erase(0, answer.body.size());
    return answer;
  }
  // True once the server has ended the connection, by TLS and TCP.
  bool Ended() { return !ReadMore(); }

 private:
  SSL_CTX* context_;
  SSL* ssl_ = nullptr;
  net::UniqueFd fd_;
  bool up_ = false;
  long verdict_ = 0;
  std::string buffer_;
};

}  // namespace sluice::testing
