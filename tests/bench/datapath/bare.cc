// bare_server: the ceiling. Answers every request with one body in memory and does nothing else: no
// parsing beyond "a head ended", no signatures, no cache. What it cannot do on a machine, no server
// built on the same system calls can. Used to choose transmit paths
// (docs/adr/0100-transmit-path.md).
//   bare_server PORT BYTES writev|sendfile|vmsplice[-cork] [FILE]
// -cork: no partial segment leaves before the body's end (TCP_CORK around each answer).
// sendfile sends from a memfd, or from FILE (BYTES of it) when one is named. Ends with SIGTERM.
#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace {

constexpr std::size_t kPipeBytes = 1 << 20;

struct Conn {
  int fd = -1;
  std::size_t head_left = 0;
  std::size_t body_left = 0;
};

struct Server {
  std::size_t bytes = 0;
  std::string mode, head;
  int file = -1;
  char* map = nullptr;
  int pipe_in = -1, pipe_out = -1;
  bool cork = false;

  bool Pump(Conn& conn);
  ssize_t SendBody(Conn& conn);
};

void Cork(int fd, int on) { ::setsockopt(fd, IPPROTO_TCP, TCP_CORK, &on, sizeof on); }

ssize_t Drain(int from) {  // what a full socket left in the pipe is thrown away
  static std::array<char, 64 << 10> sink;
  ssize_t got = 0;
  while ((got = ::read(from, sink.data(), sink.size())) > 0) {
  }
  return got;
}

ssize_t Server::SendBody(Conn& conn) {
  const std::size_t at = bytes - conn.body_left;
  if (mode == "sendfile") {
    auto offset = static_cast<off_t>(at);
    return ::sendfile(conn.fd, file, &offset, conn.body_left);
  }
  iovec piece{map + at, std::min(conn.body_left, kPipeBytes)};
  const ssize_t in = ::vmsplice(pipe_in, &piece, 1, SPLICE_F_NONBLOCK);
  if (in <= 0) return in;
  const unsigned more = static_cast<std::size_t>(in) < conn.body_left ? SPLICE_F_MORE : 0;
  const ssize_t out = ::splice(pipe_out, nullptr, conn.fd, nullptr, static_cast<std::size_t>(in),
                               SPLICE_F_NONBLOCK | more);
  if (out != in) {
    const int error = errno;
    Drain(pipe_out);
    errno = error;
  }
  return out;
}

bool Server::Pump(Conn& conn) {  // false: broken
  while (conn.head_left + conn.body_left > 0) {
    ssize_t sent = 0;
    if (mode == "writev") {
      iovec pieces[2] = {{head.data() + head.size() - conn.head_left, conn.head_left},
                         {map + bytes - conn.body_left, conn.body_left}};
      msghdr message{};
      message.msg_iov = pieces;
      message.msg_iovlen = 2;
      sent = ::sendmsg(conn.fd, &message, MSG_NOSIGNAL);
    } else if (conn.head_left > 0) {
      sent = ::send(conn.fd, head.data() + head.size() - conn.head_left, conn.head_left,
                    MSG_NOSIGNAL | MSG_MORE);
    } else {
      sent = SendBody(conn);
    }
    if (sent < 0) return errno == EAGAIN;
    const std::size_t of_head = std::min(conn.head_left, static_cast<std::size_t>(sent));
    conn.head_left -= of_head;
    conn.body_left -= static_cast<std::size_t>(sent) - of_head;
  }
  if (cork) Cork(conn.fd, 0);
  return true;
}

void Fill(Server& server, const char* name) {
  if (name != nullptr) {
    server.file = ::open(name, O_RDONLY | O_CLOEXEC);
  } else {
    server.file = ::memfd_create("bare", MFD_CLOEXEC);
    if (::ftruncate(server.file, static_cast<off_t>(server.bytes)) != 0) std::exit(2);
  }
  const int access = name != nullptr ? PROT_READ : PROT_READ | PROT_WRITE;
  void* const map = ::mmap(nullptr, server.bytes, access, MAP_SHARED, server.file, 0);
  if (map == MAP_FAILED) std::exit(2);
  server.map = static_cast<char*>(map);
  if (name == nullptr) std::memset(server.map, 'x', server.bytes);
}

int Listen(std::uint16_t port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  const int on = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_port = htons(port);
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::bind(fd, reinterpret_cast<sockaddr*>(&at), sizeof at) != 0 || ::listen(fd, 4096) != 0)
    std::exit(2);
  return fd;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) return 2;
  ::signal(SIGPIPE, SIG_IGN);
  Server server;
  server.bytes = std::strtoul(argv[2], nullptr, 10);
  server.mode = argv[3];
  if (server.mode.ends_with("-cork")) {
    server.cork = true;
    server.mode.resize(server.mode.size() - 5);
  }
  Fill(server, argc > 4 ? argv[4] : nullptr);
  server.head = fmt::format("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", server.bytes);
  int ends[2];
  if (::pipe2(ends, O_NONBLOCK | O_CLOEXEC) != 0) return 2;
  ::fcntl(ends[1], F_SETPIPE_SZ, kPipeBytes);
  server.pipe_out = ends[0];
  server.pipe_in = ends[1];
  const int listener = Listen(static_cast<std::uint16_t>(std::atoi(argv[1])));
  const int epoll = ::epoll_create1(EPOLL_CLOEXEC);
  epoll_event event{};
  event.events = EPOLLIN;
  ::epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
  std::array<epoll_event, 256> events;
  std::array<char, 16 << 10> in;
  for (;;) {
    const int count = ::epoll_wait(epoll, events.data(), events.size(), -1);
    for (int i = 0; i < count; ++i) {
      auto* conn = static_cast<Conn*>(events[static_cast<std::size_t>(i)].data.ptr);
      if (conn == nullptr) {
        for (int fd; (fd = ::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK)) >= 0;) {
          event.events = EPOLLIN | EPOLLOUT | EPOLLET;
          event.data.ptr = new Conn{fd, 0, 0};  // owned by the descriptor, freed when it closes
          ::epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
        }
        continue;
      }
      if (conn->head_left + conn->body_left == 0) {
        const ssize_t got = ::recv(conn->fd, in.data(), in.size(), 0);
        if (got < 0 && errno == EAGAIN) continue;
        const bool whole =
            got > 0 &&
            std::string_view(in.data(), static_cast<std::size_t>(got)).ends_with("\r\n\r\n");
        if (!whole) {
          ::close(conn->fd);
          delete conn;
          continue;
        }
        conn->head_left = server.head.size();
        conn->body_left = server.bytes;
        if (server.cork) Cork(conn->fd, 1);
      }
      if (!server.Pump(*conn)) {
        ::close(conn->fd);
        delete conn;
      }
    }
  }
}
