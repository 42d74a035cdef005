// Internal to this folder: one thread of a server, with the connections it accepted and an epoll
// instance. The loops of a server share its listening socket; whoever is free accepts.
//
// Invariant: at rest it sleeps; time is looked at only for what has an end.
#pragma once

#include <sys/epoll.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "controller/base/clock.h"
#include "controller/rpc/budget.h"
#include "controller/rpc/connection.h"
#include "controller/rpc/mailbox.h"
#include "controller/rpc/server.h"
#include "controller/rpc/session.h"

namespace sluice::rpc {

// Of all loops of a server.
struct Shared {
  explicit Shared(ServerOptions server_options)
      : options(std::move(server_options)), budget(options.quota_bytes) {}
  const ServerOptions options;
  Service service;
  Budget budget;
  base::RealClock clock;
  std::atomic<std::size_t> connections{0};
  std::mutex mutex;
  std::shared_ptr<ssl_ctx_st> tls;  // guarded by mutex; of the next handshake
};

class Loop {
 public:
  Loop(Shared& shared, int listener);
  ~Loop();  // after Stop and Join
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  void Start();
  void Stop(base::MonoTime by);  // any thread: no new connections; those there may end until then
  void Join();

 private:
  void Run();
  void RunTasks();
  void Take(const epoll_event& event);
  void Accept();
  void Admit(int fd);
  void Listen();  // or not, as there is room
  void Expire();
  void Settle();  // writes for those touched, drops the dead, keeps interest and timers
  void Watch(Connection& connection);
  void Drop(Connection& connection);
  int Patience() const;  // milliseconds to sleep; -1: until woken
  bool Crowded() const { return handshakes_.size() >= shared_.options.most_handshakes; }

  struct Entry {
    std::unique_ptr<Connection> connection;
    base::MonoTime due = base::MonoTime::max();  // its place in timers_, unless max()
    bool writable_wanted = false;                // as epoll was told
  };
  Shared& shared_;
  const int listener_;
  const int epoll_;
  const std::shared_ptr<Mailbox> mailbox_;
  std::unordered_map<Connection*, Entry> connections_;
  std::unordered_set<Connection*> handshakes_;
  std::set<std::pair<base::MonoTime, Connection*>> timers_;
  std::vector<Connection*> touched_;
  std::string read_buffer_, write_buffer_;
  bool listening_ = false;
  base::MonoTime accept_at_{};  // no sooner
  base::MonoTime stop_by_ = base::MonoTime::max();
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace sluice::rpc
