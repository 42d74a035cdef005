// API servers that can all fall silent at once: ports that pass bytes to one real server until they
// are frozen. Frozen, connections stay open, new ones are taken by the kernel, and nothing answers.
//
// Thread rule: the test's thread; one thread of its own. Stop: the destructor.
#pragma once

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "controller/base/check.h"

namespace sluice::integration {

class FreezingProxy {
 public:
  // `server`: "https://ADDRESS:PORT", IPv4. The doors are at its address, which its certificate
  // names.
  FreezingProxy(int doors, const std::string& server) {
    const std::size_t host = server.find("//") + 2;
    const std::size_t colon = server.rfind(':');
    server_.sin_family = AF_INET;
    SLUICE_CHECK(inet_pton(AF_INET, server.substr(host, colon - host).c_str(), &server_.sin_addr) ==
                 1);
    server_.sin_port = htons(static_cast<std::uint16_t>(std::stoi(server.substr(colon + 1))));
    for (int i = 0; i < doors; ++i) {
      const int door = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
      sockaddr_in address = server_;
      address.sin_port = 0;
      socklen_t size = sizeof address;
      SLUICE_CHECK(bind(door, reinterpret_cast<sockaddr*>(&address), size) == 0);
      SLUICE_CHECK(listen(door, 64) == 0);
      SLUICE_CHECK(getsockname(door, reinterpret_cast<sockaddr*>(&address), &size) == 0);
      doors_.push_back(door);
      urls_.push_back(fmt::format("{}:{}", server.substr(0, colon), ntohs(address.sin_port)));
    }
    thread_ = std::thread([this] { Pass(); });
  }
  ~FreezingProxy() {
    stopping_ = true;
    thread_.join();
    for (const int door : doors_) close(door);
    for (const auto& [from, to] : other_end_) close(from);
  }
  FreezingProxy(const FreezingProxy&) = delete;
  FreezingProxy& operator=(const FreezingProxy&) = delete;

  const std::string& url(int door) const { return urls_.at(static_cast<std::size_t>(door)); }
  void SetFrozen(bool frozen) { frozen_ = frozen; }

 private:
  void Pass() {
    while (!stopping_) {
      std::vector<pollfd> ready;
      if (!frozen_) {
        for (const int door : doors_) ready.push_back({door, POLLIN, 0});
        for (const auto& [from, to] : other_end_) ready.push_back({from, POLLIN, 0});
      }
      poll(ready.data(), ready.size(), 20);  // then the two flags are looked at again
      for (const pollfd& each : ready) {
        if (each.revents == 0 || frozen_ || stopping_) continue;
        if (other_end_.contains(each.fd)) {
          Move(each.fd);
        } else {
          Accept(each.fd);
        }
      }
    }
  }
  void Accept(int door) {
    const int from = accept4(door, nullptr, nullptr, SOCK_CLOEXEC);
    if (from < 0) return;  // it is a closed connection's number, and gone by now
    const int to = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(to, reinterpret_cast<const sockaddr*>(&server_), sizeof server_) != 0) {
      close(from);
      close(to);
      return;
    }
    other_end_[from] = to;
    other_end_[to] = from;
  }
  // Both ends read what they are sent at once, or the kernel's buffers hold it.
  void Move(int from) {
    const int to = other_end_[from];
    char buffer[64 << 10];
    const ssize_t got = recv(from, buffer, sizeof buffer, MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN) return;
    for (ssize_t sent = 0, now = 0; sent < got; sent += now) {
      now = send(to, buffer + sent, static_cast<std::size_t>(got - sent), MSG_NOSIGNAL);
      if (now <= 0) break;
    }
    if (got > 0) return;
    other_end_.erase(from);
    other_end_.erase(to);
    close(from);
    close(to);
  }

  sockaddr_in server_{};
  std::vector<int> doors_;
  std::vector<std::string> urls_;
  std::map<int, int> other_end_;  // of the thread, as long as it runs
  std::atomic<bool> frozen_{false};
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace sluice::integration
