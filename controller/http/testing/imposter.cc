#include "controller/http/testing/imposter.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <csignal>

#include "controller/base/check.h"

namespace sluice::http::testing {
namespace {

std::string ToPem(const std::function<int(BIO*)>& write) {
  BIO* bio = BIO_new(BIO_s_mem());
  SLUICE_CHECK(write(bio) == 1);
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  std::string pem(data, static_cast<std::size_t>(size));
  BIO_free(bio);
  return pem;
}

X509* MakeCertificate(EVP_PKEY* key, const std::string& common_name, const std::string& extension,
                      const std::string& value, X509* issuer, EVP_PKEY* issuer_key) {
  static std::atomic<long> serial{1};
  X509* cert = X509_new();
  X509_set_version(cert, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(cert), serial++);
  X509_gmtime_adj(X509_getm_notBefore(cert), -3600);
  X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
  X509_set_pubkey(cert, key);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(common_name.c_str()), -1, -1,
                             0);
  X509* by = issuer != nullptr ? issuer : cert;
  X509_set_issuer_name(cert, X509_get_subject_name(by));
  X509_EXTENSION* made =
      X509V3_EXT_conf_nid(nullptr, nullptr, OBJ_txt2nid(extension.c_str()), value.c_str());
  SLUICE_CHECK(made != nullptr);
  X509_add_ext(cert, made, -1);
  X509_EXTENSION_free(made);
  SLUICE_CHECK(X509_sign(cert, issuer_key, EVP_sha256()) > 0);
  return cert;
}

SSL_CTX* ServerContext(const ImposterTls& tls) {
  SSL_CTX* context = SSL_CTX_new(TLS_server_method());
  const auto memory = [](const std::string& pem) {
    return BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()));
  };
  BIO* bio = memory(tls.cert_pem);
  X509* cert = PEM_read_bio_X509(bio, nullptr, nullptr, nullptr);
  BIO_free(bio);
  bio = memory(tls.key_pem);
  EVP_PKEY* key = PEM_read_bio_PrivateKey(bio, nullptr, nullptr, nullptr);
  BIO_free(bio);
  static constexpr unsigned char kSessions[] = "imposter";
  SSL_CTX_set_session_id_context(context, kSessions, sizeof(kSessions) - 1);
  SLUICE_CHECK(SSL_CTX_use_certificate(context, cert) == 1);
  SLUICE_CHECK(SSL_CTX_use_PrivateKey(context, key) == 1);
  X509_free(cert);
  EVP_PKEY_free(key);
  if (!tls.client_ca_pem.empty()) {
    bio = memory(tls.client_ca_pem);
    X509* root = PEM_read_bio_X509(bio, nullptr, nullptr, nullptr);
    BIO_free(bio);
    X509_STORE_add_cert(SSL_CTX_get_cert_store(context), root);
    X509_free(root);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  }
  return context;
}

}  // namespace

std::string Answer(int status, std::string_view body, std::string_view extra_headers) {
  return fmt::format(
      "HTTP/1.1 {} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n{}\r\n{}", status,
      body.size(), extra_headers, body);
}

std::string Chunk(std::string_view bytes) {
  return bytes.empty() ? "0\r\n\r\n" : fmt::format("{:x}\r\n{}\r\n", bytes.size(), bytes);
}

long ImposterConnection::ReadSome(char* buffer, std::size_t size) {
  const long n =
      tls_ != nullptr ? SSL_read(tls_, buffer, static_cast<int>(size)) : recv(fd_, buffer, size, 0);
  return n > 0 ? n : 0;
}

bool ImposterConnection::ReadHead() {
  char bytes[4096];
  while (buffer_.find("\r\n\r\n") == std::string::npos) {
    const long n = ReadSome(bytes, sizeof(bytes));
    if (n == 0) return false;
    buffer_.append(bytes, static_cast<std::size_t>(n));
  }
  return true;
}

std::optional<RecordedRequest> ImposterConnection::ReadRequest() {
  if (!ReadHead()) return std::nullopt;
  char bytes[4096];
  const std::size_t end = buffer_.find("\r\n\r\n");
  RecordedRequest request;
  request.connection = index_;
  request.resumed = tls_ != nullptr && SSL_session_reused(tls_) == 1;
  const char* name =
      tls_ == nullptr ? nullptr : SSL_get_servername(tls_, TLSEXT_NAMETYPE_host_name);
  if (name != nullptr) request.server_name = name;
  std::string_view head = std::string_view(buffer_).substr(0, end + 2);
  std::size_t line_end = head.find("\r\n");
  const std::string_view first = head.substr(0, line_end);
  request.method = first.substr(0, first.find(' '));
  const std::string_view rest = first.substr(first.find(' ') + 1);
  request.target = rest.substr(0, rest.find(' '));
  for (head.remove_prefix(line_end + 2); !head.empty(); head.remove_prefix(line_end + 2)) {
    line_end = head.find("\r\n");
    const std::string_view line = head.substr(0, line_end);
    const std::size_t colon = line.find(':');
    request.headers.push_back(
        {std::string(line.substr(0, colon)), std::string(line.substr(colon + 2))});
  }
  std::size_t length = 0;
  if (const std::string_view text = FindHeader(request.headers, "content-length"); !text.empty()) {
    std::from_chars(text.data(), text.data() + text.size(), length);
  }
  while (buffer_.size() < end + 4 + length) {
    const long n = ReadSome(bytes, sizeof(bytes));
    if (n == 0) return std::nullopt;
    buffer_.append(bytes, static_cast<std::size_t>(n));
  }
  request.body = buffer_.substr(end + 4, length);
  buffer_.erase(0, end + 4 + length);
  std::lock_guard lock(imposter_->mutex_);
  imposter_->requests_.push_back(request);
  return request;
}

bool ImposterConnection::Send(std::string_view bytes) {
  while (!bytes.empty()) {
    const long n = tls_ != nullptr ? SSL_write(tls_, bytes.data(), static_cast<int>(bytes.size()))
                                   : send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

void ImposterConnection::Cut() { shutdown(fd_, SHUT_RDWR); }

void ImposterConnection::WaitForClose() {
  char bytes[4096];
  while (ReadSome(bytes, sizeof(bytes)) > 0) {
  }
}

void ImposterConnection::RelayTo(int port, const std::string& to) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  SLUICE_CHECK(inet_pton(AF_INET, to.c_str(), &address.sin_addr) == 1);
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  const int peer = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  SLUICE_CHECK(connect(peer, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0);
  pollfd ends[2] = {{fd_, POLLIN, 0}, {peer, POLLIN, 0}};
  char bytes[4096];
  for (bool open = true; open && poll(ends, 2, -1) > 0;) {
    for (int i = 0; i < 2; ++i) {
      if (ends[i].revents == 0) continue;
      const long n = recv(ends[i].fd, bytes, sizeof(bytes), 0);
      const auto size = static_cast<std::size_t>(std::max(n, 0L));
      if (n <= 0 || send(ends[1 - i].fd, bytes, size, MSG_NOSIGNAL) != n) open = false;
    }
  }
  close(peer);
}

Imposter::Imposter(Script script, std::optional<ImposterTls> tls) : script_(std::move(script)) {
  if (tls) tls_ = ServerContext(*tls);
  listen_fd_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  SLUICE_CHECK(bind(listen_fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0);
  SLUICE_CHECK(listen(listen_fd_, 64) == 0);
  socklen_t size = sizeof(address);
  getsockname(listen_fd_, reinterpret_cast<sockaddr*>(&address), &size);
  port_ = ntohs(address.sin_port);
  accept_thread_ = std::thread([this] { AcceptLoop(); });
}

Imposter::~Imposter() {
  stopping_ = true;
  shutdown(listen_fd_, SHUT_RDWR);
  accept_thread_.join();
  {
    std::lock_guard lock(mutex_);
    for (Served& served : served_) shutdown(served.connection.fd_, SHUT_RDWR);
  }
  for (Served& served : served_) served.thread.join();
  for (Served& served : served_) close(served.connection.fd_);
  close(listen_fd_);
  SSL_CTX_free(tls_);
}

std::string Imposter::url() const {
  return fmt::format("{}://127.0.0.1:{}", tls_ != nullptr ? "https" : "http", port_);
}

std::vector<RecordedRequest> Imposter::requests() const {
  std::lock_guard lock(mutex_);
  return requests_;
}

void Imposter::AcceptLoop() {
  while (true) {
    const int fd = accept4(listen_fd_, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) return;
    std::lock_guard lock(mutex_);
    if (stopping_) {
      close(fd);
      return;
    }
    const int one = 1;  // what a script sends leaves when it is sent
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    Served& served = served_.emplace_back();
    served.connection.imposter_ = this;
    served.connection.index_ = accepted_++;
    served.connection.fd_ = fd;
    served.thread = std::thread([this, &served] { Serve(served.connection); });
  }
}

void Imposter::Serve(ImposterConnection& connection) {
  // OpenSSL's socket BIO raises SIGPIPE on a closed peer; tests want an error instead.
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  if (tls_ != nullptr) {
    connection.tls_ = SSL_new(tls_);
    SSL_set_fd(connection.tls_, connection.fd_);
    if (SSL_accept(connection.tls_) == 1) script_(connection);
    SSL_shutdown(connection.tls_);
    SSL_free(connection.tls_);
    connection.tls_ = nullptr;
  } else {
    script_(connection);
  }
  shutdown(connection.fd_, SHUT_RDWR);
}

struct TestCa::Keys {
  EVP_PKEY* key = nullptr;
  X509* cert = nullptr;
};

TestCa::TestCa(const TestCa* issuer) : keys_(std::make_unique<Keys>()) {
  keys_->key = EVP_EC_gen("P-256");
  keys_->cert = MakeCertificate(keys_->key, issuer == nullptr ? "test ca" : "test issuing ca",
                                "basicConstraints", "critical,CA:TRUE",
                                issuer == nullptr ? nullptr : issuer->keys_->cert,
                                issuer == nullptr ? keys_->key : issuer->keys_->key);
  cert_pem_ = ToPem([&](BIO* bio) { return PEM_write_bio_X509(bio, keys_->cert); });
}

TestCa::~TestCa() {
  X509_free(keys_->cert);
  EVP_PKEY_free(keys_->key);
}

TestCa::Issued TestCa::Issue(const std::string& common_name, const std::string& alt_names) const {
  EVP_PKEY* key = EVP_EC_gen("P-256");
  X509* cert =
      MakeCertificate(key, common_name, "subjectAltName", alt_names, keys_->cert, keys_->key);
  Issued issued{ToPem([&](BIO* bio) { return PEM_write_bio_X509(bio, cert); }),
                ToPem([&](BIO* bio) {
                  return PEM_write_bio_PrivateKey(bio, key, nullptr, nullptr, 0, nullptr, nullptr);
                })};
  X509_free(cert);
  EVP_PKEY_free(key);
  return issued;
}

}  // namespace sluice::http::testing
