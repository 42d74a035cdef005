// A scripted HTTP server on loopback for tests: it answers exactly the bytes a test wants, when the
// test wants them, plain or over TLS. One thread a connection; the destructor closes everything and
// joins.
//
//   Imposter imposter([](ImposterConnection& c) {
//     while (auto request = c.ReadRequest()) c.Send(Answer(200, "{}"));
//   });
#pragma once

#include <atomic>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "controller/http/response_parser.h"

struct ssl_ctx_st;
struct ssl_st;

namespace sluice::http::testing {

struct RecordedRequest {
  int connection = 0;  // counted from 0
  std::string method;
  std::string target;
  Headers headers;
  std::string body;
  bool resumed = false;     // its TLS session
  std::string server_name;  // that its TLS handshake asked for (SNI)
};

// "HTTP/1.1 <status> X" with Content-Length and the given extra header lines.
std::string Answer(int status, std::string_view body, std::string_view extra_headers = "");
// One chunk of a chunked body; an empty one ends the body.
std::string Chunk(std::string_view bytes);
inline constexpr std::string_view kChunkedHead =
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";

class Imposter;

class ImposterConnection {
 public:
  int index() const { return index_; }
  // Reads on to the end of the next request's head; false when the client closed or the imposter
  // stops.
  bool ReadHead();
  // The next request, or nothing when the client closed or the imposter stops.
  std::optional<RecordedRequest> ReadRequest();
  bool Send(std::string_view bytes);
  // Cuts the connection, whatever is under way.
  void Cut();
  // Waits until the client closes its side or the imposter stops; reads and drops what comes.
  void WaitForClose();
  // Carries bytes between the client and a port of this machine until one of them closes, as a
  // proxy does after CONNECT. `address` is IPv4.
  void RelayTo(int port, const std::string& address = "127.0.0.1");

 private:
  friend class Imposter;
  long ReadSome(char* buffer, std::size_t size);
  Imposter* imposter_ = nullptr;
  int index_ = 0;
  int fd_ = -1;
  ssl_st* tls_ = nullptr;
  std::string buffer_;
};

struct ImposterTls {
  std::string cert_pem;
  std::string key_pem;
  std::string client_ca_pem;  // not empty: a client certificate of this CA is required
};

class Imposter {
 public:
  using Script = std::function<void(ImposterConnection&)>;
  explicit Imposter(Script script, std::optional<ImposterTls> tls = std::nullopt);
  ~Imposter();
  Imposter(const Imposter&) = delete;
  Imposter& operator=(const Imposter&) = delete;

  int port() const { return port_; }
  std::string url() const;  // http(s)://127.0.0.1:port
  std::vector<RecordedRequest> requests() const;
  int connections() const { return accepted_; }

 private:
  friend class ImposterConnection;
  struct Served {
    ImposterConnection connection;
    std::thread thread;
  };
  void AcceptLoop();
  void Serve(ImposterConnection& connection);

  const Script script_;
  ssl_ctx_st* tls_ = nullptr;
  int listen_fd_ = -1;
  int port_ = 0;
  std::atomic<bool> stopping_{false};
  std::atomic<int> accepted_{0};
  mutable std::mutex mutex_;
  std::vector<RecordedRequest> requests_;
  std::list<Served> served_;
  std::thread accept_thread_;
};

// A certificate authority made for one test.
class TestCa {
 public:
  TestCa() : TestCa(nullptr) {}
  ~TestCa();
  TestCa(const TestCa&) = delete;
  TestCa& operator=(const TestCa&) = delete;
  const std::string& cert_pem() const { return cert_pem_; }
  // One that this one vouches for.
  std::unique_ptr<TestCa> Intermediate() const { return std::unique_ptr<TestCa>(new TestCa(this)); }
  struct Issued {
    std::string cert_pem;
    std::string key_pem;
  };
  // `alt_names` as in OpenSSL's subjectAltName: "DNS:api.test,IP:127.0.0.1".
  Issued Issue(const std::string& common_name, const std::string& alt_names) const;

 private:
  struct Keys;
  explicit TestCa(const TestCa* issuer);
  std::unique_ptr<Keys> keys_;
  std::string cert_pem_;
};

}  // namespace sluice::http::testing
