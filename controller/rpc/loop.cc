#include "controller/rpc/loop.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>

#include "controller/base/check.h"
#include "controller/base/log.h"
#include "controller/rpc/limits.h"

namespace sluice::rpc {
namespace {

constexpr auto kNoTime = base::MonoTime::max();
constexpr int kEventsAtOnce = 64;
constexpr int kAcceptsAtOnce = 16;

bool MayControl(int epoll, int what, int fd, std::uint32_t events, void* who) {
  epoll_event event{};
  event.events = events;
  event.data.ptr = who;
  return epoll_ctl(epoll, what, fd, &event) == 0;
}

void Control(int epoll, int what, int fd, std::uint32_t events, void* who) {
  SLUICE_CHECK(MayControl(epoll, what, fd, events, who));
}

}  // namespace

Loop::Loop(Shared& shared, int listener)
    : shared_(shared),
      listener_(listener),
      epoll_(epoll_create1(EPOLL_CLOEXEC)),
      mailbox_(std::make_shared<Mailbox>()),
      read_buffer_(kReadBytes, '\0') {
  SLUICE_CHECK(epoll_ >= 0);
  Control(epoll_, EPOLL_CTL_ADD, mailbox_->fd(), EPOLLIN, nullptr);
}

Loop::~Loop() {
  SLUICE_CHECK(!thread_.joinable());
  close(epoll_);
}

void Loop::Start() {
  thread_ = std::thread([this] { Run(); });
}

void Loop::Stop(base::MonoTime by) {
  mailbox_->Post([this, by] {
    stopping_ = true;
    stop_by_ = by;
    for (auto& [connection, entry] : connections_) {
      connection->Leave();
      touched_.push_back(connection);
    }
  });
}

void Loop::Join() {
  if (thread_.joinable()) thread_.join();
}

void Loop::Run() {
  std::array<epoll_event, kEventsAtOnce> events;
  while (true) {
    Listen();
    RunTasks();
    if (stopping_ && (connections_.empty() || shared_.clock.Mono() >= stop_by_)) break;
    const int ready = epoll_wait(epoll_, events.data(), kEventsAtOnce, Patience());
    for (int i = 0; i < ready; ++i) Take(events[static_cast<std::size_t>(i)]);
    Expire();
    Settle();
  }
  while (!connections_.empty()) Drop(*connections_.begin()->first);
  mailbox_->Close();
}

// Until none is left: the next Post wakes this thread.
void Loop::RunTasks() {
  for (auto tasks = mailbox_->TakeAll(); !tasks.empty(); tasks = mailbox_->TakeAll()) {
    for (auto& task : tasks) task();
    Settle();
  }
}

int Loop::Patience() const {
  base::MonoTime until = stop_by_;
  if (!timers_.empty()) until = std::min(until, timers_.begin()->first);
  if (!listening_ && !stopping_ && !Crowded()) until = std::min(until, accept_at_);
  if (until == kNoTime) return -1;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - shared_.clock.Mono());
  return static_cast<int>(std::clamp<long>(left.count(), 0, 3'600'000));
}

void Loop::Take(const epoll_event& event) {
  if (event.data.ptr == nullptr) {
    std::uint64_t count = 0;
    static_cast<void>(read(mailbox_->fd(), &count, sizeof(count)));
    return;
  }
  if (event.data.ptr == this) return Accept();
  auto& connection = *static_cast<Connection*>(event.data.ptr);
  if ((event.events & ~static_cast<std::uint32_t>(EPOLLOUT)) != 0 || connection.handshaking()) {
    connection.Read(read_buffer_);
  }
  touched_.push_back(&connection);
}

void Loop::Listen() {
  const bool wanted = !stopping_ && !Crowded() && accept_at_ <= shared_.clock.Mono();
  if (wanted == listening_) return;
  listening_ = wanted;
  if (wanted) {
    Control(epoll_, EPOLL_CTL_ADD, listener_, EPOLLIN | EPOLLEXCLUSIVE, this);
  } else {
    Control(epoll_, EPOLL_CTL_DEL, listener_, 0, nullptr);
  }
}

void Loop::Accept() {
  for (int i = 0; i < kAcceptsAtOnce && !Crowded(); ++i) {
    const int fd = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0) {
      Admit(fd);
    } else if (errno == EAGAIN) {
      return;
    } else if (errno != ECONNABORTED && errno != EINTR) {
      base::log::Warn("gRPC server could not accept",
                      {{"error", base::FromErrno(errno, "accept")}});
      accept_at_ = shared_.clock.Mono() + kAcceptPause;
      return;
    }
  }
}

void Loop::Admit(int fd) {
  if (++shared_.connections > shared_.options.most_connections) {
    --shared_.connections;
    close(fd);
    return;
  }
  const int one = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
  std::shared_ptr<ssl_ctx_st> tls;
  {
    const std::lock_guard lock(shared_.mutex);
    tls = shared_.tls;
  }
  const auto now = shared_.clock.Mono();
  Entry entry;
  entry.connection = std::make_unique<Connection>(
      fd, tls.get(), Session::Host{shared_.service, shared_.budget, shared_.clock, mailbox_, {}},
      touched_, now + shared_.options.handshake_deadline);
  Connection& connection = *entry.connection;
  connections_.emplace(&connection, std::move(entry));
  handshakes_.insert(&connection);
  // What strangers can use up (fs.epoll.max_user_watches, memory) ends their connection alone.
  if (!MayControl(epoll_, EPOLL_CTL_ADD, fd, EPOLLIN, &connection)) {
    base::log::Warn("gRPC server could not watch a connection",
                    {{"error", base::FromErrno(errno, "epoll_ctl")}});
    accept_at_ = now + kAcceptPause;
    return Drop(connection);
  }
  touched_.push_back(&connection);
  if (!Crowded()) return;
  for (Connection* each : handshakes_) {
    each->Hurry(each->began() + kCrowdedHandshake);
    touched_.push_back(each);
  }
}

void Loop::Expire() {
  if (timers_.empty()) return;
  const auto now = shared_.clock.Mono();
  for (const auto& [due, connection] : timers_) {
    if (due > now) return;
    connection->Expire();
    touched_.push_back(connection);
  }
}

void Loop::Settle() {
  while (!touched_.empty()) {
    auto some = std::exchange(touched_, {});
    std::ranges::sort(some);
    some.erase(std::unique(some.begin(), some.end()), some.end());
    for (Connection* connection : some) {
      connection->Write(write_buffer_);
      if (!connection->handshaking()) handshakes_.erase(connection);
      if (connection->dead()) {
        Drop(*connection);
        std::erase(touched_, connection);
      } else {
        Watch(*connection);
      }
    }
  }
}

void Loop::Watch(Connection& connection) {
  Entry& entry = connections_.at(&connection);
  if (connection.blocked() != entry.writable_wanted) {
    entry.writable_wanted = connection.blocked();
    const std::uint32_t events = EPOLLIN | (entry.writable_wanted ? EPOLLOUT : 0U);
    Control(epoll_, EPOLL_CTL_MOD, connection.fd(), events, &connection);
  }
  const auto due = connection.Due();
  if (due == entry.due) return;
  if (entry.due != kNoTime) timers_.erase({entry.due, &connection});
  if (due != kNoTime) timers_.emplace(due, &connection);
  entry.due = due;
}

void Loop::Drop(Connection& connection) {
  const auto found = connections_.find(&connection);
  if (found->second.due != kNoTime) timers_.erase({found->second.due, &connection});
  handshakes_.erase(&connection);
  connections_.erase(found);  // closes it, which ends epoll's interest, too
  --shared_.connections;
}

}  // namespace sluice::rpc
