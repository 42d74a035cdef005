// The metrics listener: GET /metrics, /healthz, /readyz, on a loop and thread of its own: a scrape
// renders thousands of lines and must not stand in the way of a read.
//
// /healthz: 200 while the process is well, with what it waits for or lacks as text (liveness).
// /readyz: 200 while requests are served (readiness). One answer a connection.
//
// Thread rule: Start(), bound() and the destructor belong to the owner; pages are rendered on the
// thread here. Stop: the destructor closes listener and connections, and joins.
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <string>
#include <thread>

#include "datapath/net/listener.h"
#include "datapath/net/stream.h"

namespace sluice::serve {

class Admin {
 public:
  struct Page {
    bool ok = true;
    std::string text;
  };
  struct Pages {
    std::function<std::string()> metrics;
    std::function<Page()> health;
    std::function<Page()> ready;
  };
  // Errors: those of net::Listener::Listen.
  static base::StatusOr<std::unique_ptr<Admin>> Start(base::Clock& clock,
                                                      const net::Address& address, Pages pages);
  ~Admin();
  Admin(const Admin&) = delete;
  Admin& operator=(const Admin&) = delete;
  const net::Address& bound() const { return bound_; }

 private:
  class Client;
  Admin(std::unique_ptr<net::EventLoop> loop, Pages pages);
  void Accept(net::UniqueFd socket, const net::Address& peer);

  const std::unique_ptr<net::EventLoop> loop_;
  const Pages pages_;
  net::Address bound_;
  std::unique_ptr<net::Listener> listener_;
  std::list<std::unique_ptr<Client>> clients_;
  std::thread thread_;
};

}  // namespace sluice::serve
