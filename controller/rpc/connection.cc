#include "controller/rpc/connection.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "controller/base/check.h"
#include "controller/base/log.h"
#include "controller/rpc/limits.h"
#include "controller/rpc/tls.h"

namespace sluice::rpc {

Connection::Connection(int fd, SSL_CTX* tls, Session::Host host, std::vector<Connection*>& touched,
                       base::MonoTime handshake_by)
    : fd_(fd),
      tls_(SSL_new(tls)),
      host_(std::move(host)),
      began_(host_.clock.Mono()),
      handshake_by_(handshake_by),
      waits_since_(base::MonoTime::max()) {
  SLUICE_CHECK(tls_ != nullptr);
  host_.has_news = [this, &touched] { touched.push_back(this); };
  BIO* const socket = NewSocketBio(fd);
  SSL_set_bio(tls_, socket, socket);
  SSL_set_accept_state(tls_);
}

Connection::~Connection() {
  session_.reset();
  ERR_clear_error();
  if (!dead_ && SSL_is_init_finished(tls_) == 1) SSL_shutdown(tls_);
  ERR_clear_error();
  SSL_free(tls_);
  close(fd_);
}

void Connection::Cut(const base::Status& why) {
  // A stranger's failed handshake is not news, and must not fill the log.
  base::log::Debug("connection cut", {{"handshake", handshaking()}, {"error", why}});
  dead_ = true;
}

bool Connection::GoesOn(int result) {
  const int error = SSL_get_error(tls_, result);
  if (error == SSL_ERROR_WANT_READ) return true;
  if (error == SSL_ERROR_WANT_WRITE) return blocked_ = true;
  Cut(base::Unavailable(TakeTlsError()));
  return false;
}

void Connection::Shake() {
  blocked_ = false;
  ERR_clear_error();
  const int result = SSL_do_handshake(tls_);
  if (result != 1) {
    GoesOn(result);
    return;
  }
  auto peer = PeerOf(tls_);
  if (!peer.ok()) return Cut(peer.status());
  session_ = std::make_unique<Session>(host_, *std::move(peer));
}

void Connection::Read(std::string& buffer) {
  if (handshaking()) Shake();
  for (int i = 0; i < kReadsAtOnce && !dead_ && !handshaking(); ++i) {
    ERR_clear_error();
    const int n = SSL_read(tls_, buffer.data(), static_cast<int>(buffer.size()));
    if (n <= 0) {
      GoesOn(n);
      return;
    }
    const auto fed = session_->Feed({buffer.data(), static_cast<std::size_t>(n)});
    if (!fed.ok()) return Cut(fed);
    // A small record, and nothing of the next is held here: if it is there, epoll says so. To ask
    // would be a system call a message.
    if (static_cast<std::size_t>(n) < buffer.size()) return;
  }
}

void Connection::Write(std::string& scratch) {
  if (dead_ || handshaking()) return;
  blocked_ = false;
  while (true) {
    // The rest of last time goes first, as OpenSSL wants it: the same bytes again.
    std::string& from = unsent_.empty() ? scratch : unsent_;
    if (unsent_.empty()) {
      scratch.clear();
      const auto taken = session_->Take(scratch, kWriteBytes);
      if (!taken.ok()) return Cut(taken);
      if (scratch.empty()) break;
    }
    std::size_t sent = 0;
    while (sent < from.size()) {
      ERR_clear_error();
      const int n = SSL_write(tls_, from.data() + sent, static_cast<int>(from.size() - sent));
      if (n > 0) {
        sent += static_cast<std::size_t>(n);
        continue;
      }
      if (!GoesOn(n)) return;
      blocked_ = true;
      unsent_ = from.substr(sent);
      if (waits_since_ == base::MonoTime::max()) waits_since_ = host_.clock.Mono();
      return;
    }
    unsent_ = {};
  }
  if (session_->over()) {
    dead_ = true;
    SSL_shutdown(tls_);
    return;
  }
  if (!session_->message_waits()) {
    waits_since_ = base::MonoTime::max();
  } else if (waits_since_ == base::MonoTime::max()) {
    waits_since_ = host_.clock.Mono();
  }
}

void Connection::Leave() {
  if (handshaking()) {
    dead_ = true;
  } else {
    session_->Leave();
  }
}

void Connection::Hurry(base::MonoTime handshake_by) {
  handshake_by_ = std::min(handshake_by_, handshake_by);
}

base::MonoTime Connection::Due() const {
  if (handshaking()) return handshake_by_;
  if (waits_since_ == base::MonoTime::max()) return session_->Due();
  return std::min(waits_since_ + kTakesNothing, session_->Due());
}

void Connection::Expire() {
  const auto now = host_.clock.Mono();
  if (handshaking()) {
    if (handshake_by_ <= now) Cut(base::DeadlineExceeded("the handshake took too long"));
    return;
  }
  if (waits_since_ != base::MonoTime::max() && waits_since_ + kTakesNothing <= now) {
    return Cut(base::DeadlineExceeded("the peer does not read"));
  }
  session_->Expire();
}

}  // namespace sluice::rpc
