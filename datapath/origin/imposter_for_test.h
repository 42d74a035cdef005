// A scripted origin for tests: a listening socket on loopback whose connections each follow a
// script, in order of arrival. Blocking, one thread a connection; every wait ends after kPatience.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

namespace sluice::origin::testing {

inline constexpr int kPatienceSeconds = 20;

class Peer {
 public:
  Peer(int fd, SSL* ssl) : fd_(fd), ssl_(ssl) {}
  // One request head, "" at the end of the connection.
  std::string ReadHead() {
    while (buffer_.find("\r\n\r\n") == std::string::npos) {
      if (!Fill()) return "";
    }
    return Take(buffer_.find("\r\n\r\n") + 4);
  }
  std::string ReadBytes(std::size_t count) {
    while (buffer_.size() < count) {
      if (!Fill()) break;
    }
    return Take(std::min(count, buffer_.size()));
  }
  // False when the peer closed.
  bool Send(const std::string& bytes) {
    std::size_t at = 0;
    while (at < bytes.size()) {
      const auto put = ssl_ != nullptr
                           ? SSL_write(ssl_, bytes.data() + at, static_cast<int>(bytes.size() - at))
                           : ::send(fd_, bytes.data() + at, bytes.size() - at, MSG_NOSIGNAL);
      if (put <= 0) return false;
      at += static_cast<std::size_t>(put);
    }
    return true;
  }
  // Reads head after head and answers each with `answer`, until the peer leaves.
  void Always(const std::string& answer) {
    while (!ReadHead().empty() && Send(answer)) {
    }
  }
  void WaitForClose() {
    while (Fill()) {
    }
  }
  // The connection is reset instead of ended.
  void Reset() {
    const linger now{.l_onoff = 1, .l_linger = 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
  }

  // TLS: the connection ends as if cut.
  void EndWithoutNotice() { SSL_set_quiet_shutdown(ssl_, 1); }

 private:
  bool Fill() {
    char piece[65536];
    const auto got =
        ssl_ != nullptr ? SSL_read(ssl_, piece, sizeof piece) : ::recv(fd_, piece, sizeof piece, 0);
    if (got <= 0) return false;
    buffer_.append(piece, static_cast<std::size_t>(got));
    return true;
  }
  std::string Take(std::size_t count) {
    const std::string taken = buffer_.substr(0, count);
    buffer_.erase(0, count);
    return taken;
  }
  int fd_;
  SSL* ssl_;
  std::string buffer_;
};

class Imposter {
 public:
  using Script = std::function<void(Peer&)>;
  // The last script serves every further connection too. `tls`: a server context, or nullptr.
  explicit Imposter(std::vector<Script> scripts, SSL_CTX* tls = nullptr)
      : scripts_(std::move(scripts)), tls_(tls) {
    ::signal(SIGPIPE, SIG_IGN);  // OpenSSL's own socket writes do not ask for MSG_NOSIGNAL
    listener_ = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(::listen(listener_, 64), 0);
    socklen_t size = sizeof address;
    ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    accepter_ = std::thread([this] { Accept(); });
  }
  ~Imposter() {
    ::shutdown(listener_, SHUT_RDWR);
    accepter_.join();
    ::close(listener_);
    {
      std::lock_guard lock(mutex_);  // whoever still waits for its peer is done
      for (const int fd : open_) ::shutdown(fd, SHUT_RDWR);
    }
    for (std::thread& each : connections_) each.join();
  }
  std::string url(const std::string& scheme = "http") const {
    return scheme + "://127.0.0.1:" + std::to_string(port_);
  }
  // So far. A client may have gone on before a connection of its was accepted: wait for `least`.
  int accepted(int least = 0) const {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(kPatienceSeconds);
    while (accepted_ < least && std::chrono::steady_clock::now() < deadline)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return accepted_;
  }

 private:
  void Accept() {
    for (;;) {
      const int fd = ::accept(listener_, nullptr, nullptr);
      if (fd < 0) return;
      const timeval patience{.tv_sec = kPatienceSeconds, .tv_usec = 0};
      ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
      ::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
      {
        std::lock_guard lock(mutex_);
        open_.insert(fd);
      }
      const auto at = static_cast<std::size_t>(accepted_++);
      const Script& script = scripts_[std::min(at, scripts_.size() - 1)];
      connections_.emplace_back([this, fd, script] {
        SSL* ssl = nullptr;
        if (tls_ != nullptr) {
          ssl = SSL_new(tls_);
          SSL_set_fd(ssl, fd);
        }
        if (ssl == nullptr || SSL_accept(ssl) == 1) {
          Peer peer(fd, ssl);
          script(peer);
          if (ssl != nullptr) SSL_shutdown(ssl);
        }
        SSL_free(ssl);
        std::lock_guard lock(mutex_);
        open_.erase(fd);
        ::close(fd);
      });
    }
  }
  const std::vector<Script> scripts_;
  SSL_CTX* const tls_;
  int listener_ = -1;
  std::uint16_t port_ = 0;
  std::atomic<int> accepted_{0};
  std::mutex mutex_;
  std::set<int> open_;                    // guarded by mutex_
  std::vector<std::thread> connections_;  // by the accepter, then by the destructor
  std::thread accepter_;
};

}  // namespace sluice::origin::testing
