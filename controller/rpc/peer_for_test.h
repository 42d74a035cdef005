// A client's end of a connection with TLS that follows no rules but those it is told to. For tests.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <functional>
#include <string>
#include <string_view>

#include "controller/base/authority.h"
#include "controller/base/certificate.h"
#include "controller/base/openssl.h"
#include "controller/rpc/tls.h"
#include "controller/rpc/wire_for_test.h"

namespace sluice::rpc::wire {

inline base::WallTime Wall() { return std::chrono::system_clock::now(); }

inline base::CertificateAuthority NewAuthority() {
  const auto pair = base::CertificateAuthority::Create("test", Wall(), std::chrono::hours(48));
  return *base::CertificateAuthority::Load(*pair);
}

struct Identity {
  std::string certificate_pem, key_pem;
};

inline Identity ClientOf(const base::CertificateAuthority& authority, base::WallTime from,
                         base::Duration life) {
  const auto made = *base::MakeCertificateRequest();
  return {authority.SignClient(made.csr_pem, "n1", "test:n1", from, life)->certificate_pem,
          made.key_pem};
}

struct PeerOptions {
  Identity identity;
  int newest = 0;  // TLS version; 0: any
  std::string alpn = "h2";
};

// A client's end.
class TestPeer {
 public:
  explicit TestPeer(int port) : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<std::uint16_t>(port));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(connect(fd_, reinterpret_cast<sockaddr*>(&to), sizeof(to)), 0);
    const timeval patience{20, 0};
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  }
  ~TestPeer() {
    SSL_free(tls_);
    SSL_CTX_free(context_);
    close(fd_);
  }
  TestPeer(const TestPeer&) = delete;
  TestPeer& operator=(const TestPeer&) = delete;

  // False: the server refused, at once or with its first answer.
  bool Shake(const PeerOptions& options) {
    context_ = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_max_proto_version(context_, options.newest);
    if (options.newest != 0 && options.newest < TLS1_2_VERSION) {
      SSL_CTX_set_min_proto_version(context_, options.newest);
      SSL_CTX_set_cipher_list(context_, "ALL:@SECLEVEL=0");
    }
    if (!options.identity.key_pem.empty()) {
      const auto certificate = *base::openssl::ReadCertificate(options.identity.certificate_pem);
      const auto key = *base::openssl::ReadKey(options.identity.key_pem);
      SSL_CTX_use_certificate(context_, certificate.get());
      SSL_CTX_use_PrivateKey(context_, key.get());
    }
    tls_ = SSL_new(context_);
    BIO* const socket_bio = NewSocketBio(fd_);
    SSL_set_bio(tls_, socket_bio, socket_bio);
    if (!options.alpn.empty()) {
      const std::string list = static_cast<char>(options.alpn.size()) + options.alpn;
      SSL_set_alpn_protos(tls_, reinterpret_cast<const unsigned char*>(list.data()),
                          static_cast<unsigned>(list.size()));
    }
    ERR_clear_error();
    if (SSL_connect(tls_) != 1) return false;
    // With TLS 1.3 a client is done before its certificate is looked at: wait for SETTINGS.
    return Say(Preface()) && ReadSome();
  }
  bool Say(std::string_view bytes) {
    ERR_clear_error();
    return SSL_write(tls_, bytes.data(), static_cast<int>(bytes.size())) > 0;
  }
  void SayPlain(std::string_view bytes) {
    EXPECT_EQ(send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
  }
  // False: the connection ended.
  bool ReadSome() {
    char buffer[16384];
    ERR_clear_error();
    const int n = SSL_read(tls_, buffer, sizeof(buffer));
    if (n > 0) heard.Hear({buffer, static_cast<std::size_t>(n)});
    return n > 0;
  }
  bool ReadUntil(const std::function<bool()>& heard_it) {
    while (!heard_it()) {
      if (!ReadSome()) return false;
    }
    return true;
  }
  // Whether the server closes, however, within the patience of a read.
  bool IsClosed() {
    char byte = 0;
    while (true) {
      const ssize_t n = recv(fd_, &byte, 1, 0);
      if (n == 0 || (n < 0 && errno != EAGAIN)) return true;
      if (n < 0) return false;
    }
  }
  // How many certificates the server sent.
  int certificates() const { return sk_X509_num(SSL_get_peer_cert_chain(tls_)); }
  std::string certificate() const { return base::openssl::ToPem(SSL_get0_peer_certificate(tls_)); }

  Listener heard;

 private:
  const int fd_;
  SSL_CTX* context_ = nullptr;
  SSL* tls_ = nullptr;
};

}  // namespace sluice::rpc::wire
