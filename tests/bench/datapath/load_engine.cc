#include "tests/bench/datapath/load_engine.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <deque>
#include <memory>

#include "tests/bench/datapath/load_conn.h"
#include "tests/bench/datapath/load_cpu.h"

namespace sluice::bench {
namespace {

constexpr std::size_t kHeadRead = 8 << 10;
constexpr std::size_t kCopyRead = 256 << 10;
constexpr int kEventsPerWait = 256;
constexpr std::int64_t kGraceNs = 5'000'000'000;
constexpr std::uint64_t kMaxReconnects = 2000;  // beyond, the server is not fit to be measured

class Engine {
 public:
  Engine(const LoadOptions& options, Requests& requests)
      : options_(options), requests_(requests), conns_(options.connections), buffer_(kCopyRead) {}
  ~Engine() {
    for (const Conn& conn : conns_)
      if (conn.fd >= 0) ::close(conn.fd);
    if (epoll_ >= 0) ::close(epoll_);
  }

  base::StatusOr<LoadResult> Run();

 private:
  base::Status Connect(Conn& conn);
  void Reconnect(Conn& conn);
  void Send(Conn& conn, std::int64_t since);
  void SendDue(std::int64_t now);
  void OnReadable(Conn& conn);
  bool TakeHead(Conn& conn, std::size_t got);
  void Finish(Conn& conn);
  void OpenWindow();
  void CloseWindow();

  const LoadOptions& options_;
  Requests& requests_;
  std::vector<Conn> conns_;
  std::vector<char> buffer_;
  std::deque<Conn*> idle_;
  int epoll_ = -1;
  std::size_t next_key_ = 0;
  std::int64_t unix_second_ = 0;
  std::int64_t start_ = 0, window_begin_ = 0, window_end_ = 0;
  std::int64_t next_due_ = 0;  // open loop: the number of the next request
  bool counting_ = false, stopping_ = false;
  std::size_t in_flight_ = 0;
  LoadResult result_;
  double server_cpu_begin_ = 0, client_cpu_begin_ = 0;
};

base::Status Engine::Connect(Conn& conn) {
  conn.fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (conn.fd < 0) return base::FromErrno(errno, "socket");
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(options_.port);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(conn.fd, reinterpret_cast<sockaddr*>(&to), sizeof to) != 0)
    return base::FromErrno(errno, "connect");
  const int on = 1;
  ::setsockopt(conn.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  ::fcntl(conn.fd, F_SETFL, O_NONBLOCK);
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.ptr = &conn;
  if (::epoll_ctl(epoll_, EPOLL_CTL_ADD, conn.fd, &event) != 0)
    return base::FromErrno(errno, "epoll_ctl");
  return base::OkStatus();
}

void Engine::Reconnect(Conn& conn) {
  ++result_.reconnects;
  if (conn.busy) {
    ++result_.errors;
    --in_flight_;
  }
  ::close(conn.fd);
  conn = Conn{};
  if (result_.reconnects > kMaxReconnects || !Connect(conn).ok()) {
    ++result_.errors;
    return;
  }
  if (options_.rate > 0) {
    idle_.push_back(&conn);
  } else if (!stopping_) {
    Send(conn, MonoNs());
  }
}

void Engine::Send(Conn& conn, std::int64_t since) {
  // A step that has no factor with the number of keys visits all, in no order of the names.
  next_key_ = (next_key_ + 617) % requests_.keys();
  const std::string_view request = requests_.Get(next_key_, unix_second_);
  conn.busy = true;
  conn.in_body = conn.failed = false;
  conn.since = since;
  ++in_flight_;
  const ssize_t sent = ::send(conn.fd, request.data(), request.size(), MSG_NOSIGNAL);
  if (sent != static_cast<ssize_t>(request.size())) Reconnect(conn);
}

void Engine::SendDue(std::int64_t now) {
  while (!idle_.empty()) {
    const auto due =
        start_ + static_cast<std::int64_t>(static_cast<double>(next_due_) * 1e9 / options_.rate);
    if (due > now || due >= window_end_) return;
    ++next_due_;
    Conn* const conn = idle_.front();
    idle_.pop_front();
    Send(*conn, due);
  }
}

void Engine::Finish(Conn& conn) {
  conn.busy = false;
  --in_flight_;
  const std::int64_t now = MonoNs();
  if (conn.failed) {
    ++result_.errors;
  } else if (options_.rate > 0 ? conn.since >= window_begin_ : counting_) {
    ++result_.requests;
    result_.latency.Add(static_cast<std::uint64_t>(std::max<std::int64_t>(0, now - conn.since)));
  }
  if (options_.rate > 0) {
    idle_.push_back(&conn);
  } else if (!stopping_) {
    Send(conn, now);
  }
}

// False: the head is not whole yet, or the connection was given up.
bool Engine::TakeHead(Conn& conn, std::size_t got) {
  std::string_view bytes(buffer_.data(), got);
  if (!conn.head.empty()) bytes = conn.head.append(bytes);
  const std::size_t end = bytes.find("\r\n\r\n");
  if (end == std::string_view::npos) {
    if (conn.head.empty()) conn.head = bytes;
    if (conn.head.size() > kHeadRead) Reconnect(conn);
    return false;
  }
  int status = 0;
  std::uint64_t length = 0;
  const std::size_t body = bytes.size() - end - 4;
  if (!ReadHead(bytes.substr(0, end + 2), &status, &length) || body > length) {
    Reconnect(conn);
    return false;
  }
  conn.failed = status != 200;
  conn.in_body = true;
  conn.body_left = length - body;
  if (counting_) result_.bytes += body;
  conn.head.clear();
  return true;
}

void Engine::OnReadable(Conn& conn) {
  if (!conn.in_body) {
    const ssize_t got = ::recv(conn.fd, buffer_.data(), kHeadRead, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0 || !conn.busy) return Reconnect(conn);
    if (!TakeHead(conn, static_cast<std::size_t>(got))) return;
    if (conn.body_left == 0) return Finish(conn);
    if (static_cast<std::size_t>(got) < kHeadRead) return;  // that was all there is
  }
  const std::size_t wanted =
      options_.copy ? std::min<std::uint64_t>(conn.body_left, kCopyRead) : conn.body_left;
  const ssize_t got = ::recv(conn.fd, buffer_.data(), wanted, options_.copy ? 0 : MSG_TRUNC);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got <= 0) return Reconnect(conn);
  conn.body_left -= static_cast<std::uint64_t>(got);
  if (counting_) result_.bytes += static_cast<std::uint64_t>(got);
  if (conn.body_left == 0) Finish(conn);
}

void Engine::OpenWindow() {
  counting_ = true;
  window_begin_ = MonoNs();
  server_cpu_begin_ = CpuSecondsOf(options_.server_pids);
  client_cpu_begin_ = OwnCpuSeconds();
}

void Engine::CloseWindow() {
  counting_ = false;
  stopping_ = true;
  result_.server_cpu_seconds = CpuSecondsOf(options_.server_pids) - server_cpu_begin_;
  result_.client_cpu_seconds = OwnCpuSeconds() - client_cpu_begin_;
  result_.seconds = static_cast<double>(MonoNs() - window_begin_) / 1e9;
}

base::StatusOr<LoadResult> Engine::Run() {
  epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
  if (epoll_ < 0) return base::FromErrno(errno, "epoll_create1");
  for (Conn& conn : conns_) SLUICE_RETURN_IF_ERROR(Connect(conn));
  start_ = MonoNs();
  unix_second_ = ::time(nullptr);
  const std::int64_t window_at = start_ + static_cast<std::int64_t>(options_.warmup_seconds * 1e9);
  window_begin_ = window_at;
  window_end_ = window_at + static_cast<std::int64_t>(options_.seconds * 1e9);
  const bool open_loop = options_.rate > 0;
  for (Conn& conn : conns_) {
    if (open_loop) {
      idle_.push_back(&conn);
    } else {
      Send(conn, start_);
    }
  }
  std::array<epoll_event, kEventsPerWait> events;
  for (;;) {
    const int count = ::epoll_wait(epoll_, events.data(), kEventsPerWait, open_loop ? 0 : 100);
    for (int i = 0; i < count; ++i) OnReadable(*static_cast<Conn*>(events[i].data.ptr));
    const std::int64_t now = MonoNs();
    unix_second_ = ::time(nullptr);
    if (open_loop) SendDue(now);
    if (!counting_ && !stopping_ && now >= window_at) OpenWindow();
    if (counting_ && now >= window_end_) CloseWindow();
    if (stopping_ && (!open_loop || in_flight_ == 0 || now > window_end_ + kGraceNs)) break;
  }
  if (open_loop) {  // what was due and never answered
    const auto due =
        static_cast<std::int64_t>((options_.warmup_seconds + options_.seconds) * options_.rate);
    result_.errors +=
        in_flight_ + static_cast<std::uint64_t>(std::max<std::int64_t>(0, due - 1 - next_due_));
  }
  return std::move(result_);
}

}  // namespace

base::StatusOr<LoadResult> RunLoad(const LoadOptions& options, Requests& requests) {
  if (options.port == 0 || options.connections == 0 || options.seconds <= 0)
    return base::InvalidArgument("port, connections and seconds must be more than zero");
  return std::make_unique<Engine>(options, requests)->Run();
}

}  // namespace sluice::bench
