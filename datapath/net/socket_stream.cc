// Stream over a plain socket. Numbered rules:
//  1. `fd_` is watched from construction to destruction, once, in both directions.
//  2. Every callback may destroy the stream: after each one, `alive` is looked at before `this`.
//  3. Small writes leave with the loop's next batch, where its poller has one; until then whatever
//     follows them waits.
//     What the kernel is to encrypt later (OfferKernelTls) must all be out before: no batches then.
//  4. Until the connection is up nothing is read or written; a failure then is OnBroken, once.
#include <linux/tls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <algorithm>
#include <cerrno>

#include "datapath/net/limits.h"
#include "datapath/net/socket_options.h"
#include "datapath/net/stream.h"

namespace sluice::net {
namespace {

IoResult FromErrnoResult(int error) {
  if (error == EAGAIN || error == EWOULDBLOCK) return {};
  return {.state = IoResult::State::kBroken, .error = error};
}

class SocketStream final : public Stream, public FdHandler {
 public:
  SocketStream(EventLoop& loop, UniqueFd fd, const Address& peer, StreamHandler* handler,
               bool connecting)
      : loop_(loop),
        fd_(std::move(fd)),
        peer_(peer),
        handler_(handler),
        connecting_(connecting),
        deadline_(loop, [this] {
          if (handler_ != nullptr) handler_->OnDeadline();
        }) {}
  ~SocketStream() override {
    if (alive_ != nullptr) *alive_ = false;
    if (replay_alive_ != nullptr) *replay_alive_ = false;
    if (abort_) {  // first, so that the poller keeps nothing of it
      const linger reset{.l_onoff = 1, .l_linger = 0};
      ::setsockopt(fd_.get(), SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    }
    if (watched_) loop_.Unwatch(fd_.get(), token_);
  }
  SocketStream(const SocketStream&) = delete;
  SocketStream& operator=(const SocketStream&) = delete;

  base::Status Start() {
    SLUICE_ASSIGN_OR_RETURN(token_, loop_.Watch(fd_.get(), this));
    watched_ = true;
    // Who comes to us asks in a few bytes; who we go to answers with many.
    if (!connecting_) loop_.poller().ReceiveAhead(fd_.get());
    return base::OkStatus();
  }

  void SetHandler(StreamHandler* handler) override {
    handler_ = handler;
    if (handler == nullptr || replay_alive_ != nullptr || connecting_) return;
    auto alive = std::make_unique<bool>(true);
    replay_alive_ = alive.get();
    loop_.Post([this, alive = std::move(alive)] {
      if (!*alive) return;
      replay_alive_ = nullptr;
      OnReady({.token = token_, .readable = true, .writable = true});
    });
  }

  IoResult Read(std::span<char> into) override {
    if (connecting_) return {};
    const ssize_t got = loop_.poller().Receive(fd_.get(), into);
    if (got > 0) return {.state = IoResult::State::kOk, .bytes = static_cast<std::size_t>(got)};
    if (got == 0) return {.state = IoResult::State::kEof};
    return FromErrnoResult(static_cast<int>(-got));
  }

  IoResult Write(std::span<const iovec> pieces, bool more) override {
    if (connecting_) return {};
    if (!more && !awaits_keys_ && loop_.poller().SendLater(fd_.get(), pieces)) {
      IoResult taken{.state = IoResult::State::kOk};
      for (const iovec& piece : pieces) taken.bytes += piece.iov_len;
      return taken;
    }
    if (Sending()) return {};
    msghdr message{};
    message.msg_iov = const_cast<iovec*>(pieces.data());
    message.msg_iovlen = std::min<std::size_t>(pieces.size(), 64);
    return Send(message, more ? MSG_MORE : 0);
  }

  IoResult SendPages(std::span<const char> pages, bool more) override {
    if (connecting_ || Sending()) return {};
    PagePipe& pipe = loop_.page_pipe();
    if (!pipe.usable()) return Stream::Write(pages, more);
    for (;;) {
      const ssize_t sent = pipe.Send(fd_.get(), pages, more);
      if (sent > 0) return {.state = IoResult::State::kOk, .bytes = static_cast<std::size_t>(sent)};
      if (!pipe.usable()) return Stream::Write(pages, more);
      if (errno != EINTR) return FromErrnoResult(errno);
    }
  }

  void HoldSegments(bool hold) override {
    if (hold == held_ || (peer_.family() != AF_INET && peer_.family() != AF_INET6)) return;
    held_ = hold;
    const int on = hold ? 1 : 0;
    ::setsockopt(fd_.get(), IPPROTO_TCP, TCP_CORK, &on, sizeof on);
  }

  void ShutdownWrite() override {
    shut_when_sent_ = Sending();
    if (!shut_when_sent_) ::shutdown(fd_.get(), SHUT_WR);
  }
  void Abort() override { abort_ = true; }

  void SetDeadline(base::Duration from_now) override { deadline_.Arm(from_now); }
  void ClearDeadline() override { deadline_.Cancel(); }
  EventLoop& loop() override { return loop_; }
  const Address& peer() const override { return peer_; }
  bool sends_pages_by_reference() override { return loop_.page_pipe().usable(); }

  bool OfferKernelTls() override {
    awaits_keys_ = ::setsockopt(fd_.get(), IPPROTO_TCP, TCP_ULP, "tls", sizeof "tls") == 0;
    return awaits_keys_;
  }
  bool EncryptInKernel(std::span<const char> info) override {
    if (!awaits_keys_ || Sending() ||
        ::setsockopt(fd_.get(), SOL_TLS, TLS_TX, info.data(),
                     static_cast<socklen_t>(info.size())) != 0)
      return false;
    awaits_keys_ = false;
    return true;
  }
  IoResult WriteRecord(unsigned char type, std::span<const char> bytes) override {
    if (Sending()) return {};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof type)] = {};
    iovec piece{const_cast<char*>(bytes.data()), bytes.size()};
    msghdr message{};
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    cmsghdr* const header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_TLS;
    header->cmsg_type = TLS_SET_RECORD_TYPE;
    header->cmsg_len = CMSG_LEN(sizeof type);
    *CMSG_DATA(header) = type;
    return Send(message, 0);
  }

  void OnReady(const ring::Event& event) override {
    if (shut_when_sent_) ShutdownWrite();
    if (handler_ == nullptr) return;
    bool alive = true;
    bool* const outer = std::exchange(alive_, &alive);
    Deliver(event, alive);
    if (alive) {
      alive_ = outer;
    } else if (outer != nullptr) {
      *outer = false;
    }
  }

 private:
  bool Sending() { return loop_.poller().Sending(fd_.get()); }
  IoResult Send(const msghdr& message, int flags) {
    for (;;) {
      const ssize_t sent = ::sendmsg(fd_.get(), &message, MSG_NOSIGNAL | flags);
      if (sent >= 0)
        return {.state = IoResult::State::kOk, .bytes = static_cast<std::size_t>(sent)};
      if (errno != EINTR) return FromErrnoResult(errno);
    }
  }

  void Deliver(const ring::Event& event, const bool& alive) {
    if (connecting_) {
      if (!event.writable && !event.broken) return;
      int error = 0;
      socklen_t length = sizeof error;
      ::getsockopt(fd_.get(), SOL_SOCKET, SO_ERROR, &error, &length);
      if (error != 0 || event.broken) {
        handler_->OnBroken(
            base::FromErrno(error != 0 ? error : ECONNRESET, "connect to " + peer_.ToString()));
        return;
      }
      connecting_ = false;
      handler_->OnConnected();
      if (!alive || handler_ == nullptr || !event.readable) return;
    }
    if (event.readable) handler_->OnReadable();
    if (!alive || handler_ == nullptr) return;
    if (event.writable && !event.broken) handler_->OnWritable();
    if (!alive || handler_ == nullptr || !event.broken) return;
    int error = 0;
    socklen_t length = sizeof error;
    ::getsockopt(fd_.get(), SOL_SOCKET, SO_ERROR, &error, &length);
    handler_->OnBroken(base::FromErrno(error != 0 ? error : ECONNRESET, peer_.ToString()));
  }

  EventLoop& loop_;
  UniqueFd fd_;
  const Address peer_;
  StreamHandler* handler_;
  std::uint64_t token_ = 0;
  bool watched_ = false;
  bool connecting_;
  bool abort_ = false;
  bool held_ = false;
  bool awaits_keys_ = false;
  bool shut_when_sent_ = false;
  bool* alive_ = nullptr;
  bool* replay_alive_ = nullptr;
  Timer deadline_;
};

}  // namespace

base::StatusOr<std::unique_ptr<Stream>> AdoptSocket(EventLoop& loop, UniqueFd socket,
                                                    const Address& peer,
                                                    const SocketOptions& options,
                                                    StreamHandler* handler) {
  SLUICE_RETURN_IF_ERROR(SetNonBlocking(socket.get()));
  ApplyOptions(socket.get(), peer.family(), options);
  auto stream = std::make_unique<SocketStream>(loop, std::move(socket), peer, handler, false);
  SLUICE_RETURN_IF_ERROR(stream->Start());
  return std::unique_ptr<Stream>(std::move(stream));
}

base::StatusOr<std::unique_ptr<Stream>> Connect(EventLoop& loop, const Address& peer,
                                                const SocketOptions& options,
                                                StreamHandler* handler) {
  UniqueFd fd(::socket(peer.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return base::FromErrno(errno, "socket");
  ApplyOptions(fd.get(), peer.family(), options);
  if (::connect(fd.get(), peer.get(), peer.length()) != 0 && errno != EINPROGRESS) {
    return base::Unavailable(base::FromErrno(errno, "connect to " + peer.ToString()).message());
  }
  // A connect that succeeded at once is announced as writable by the first edge, like any other.
  auto stream = std::make_unique<SocketStream>(loop, std::move(fd), peer, handler, true);
  SLUICE_RETURN_IF_ERROR(stream->Start());
  return std::unique_ptr<Stream>(std::move(stream));
}

}  // namespace sluice::net
