// A non-blocking, bidirectional stream of bytes on one loop: TCP, a unix socket, TLS over
// either.
//
// How to use one: attach a handler; call Read()/Write()/SendPages() until they answer kBlocked,
// then wait for OnReadable()/OnWritable(). A call that is made early merely answers kBlocked.
// Callbacks come from the loop, never from inside a call on the stream. There is one callback of
// each kind per change (edge-triggered): whoever stops reading before kBlocked continues by calling
// Read() again, no event will remind it.
//
// Deadlines: a stream has one, which its owner moves as its state changes (idle, header, body);
// when it passes, OnDeadline() is called once. A stream without a deadline is a bug in its owner.
//
// Thread rule: the loop's thread. Stop: destroy it (closes at once; unsent bytes in the kernel are
// still delivered unless Abort() was called). A handler may destroy the stream inside any callback.
//
// Why readiness and not completion: docs/adr/0035-loop-and-ring.md.
#pragma once

#include <sys/uio.h>

#include <cerrno>
#include <cstddef>
#include <memory>
#include <span>

#include "controller/base/clock.h"
#include "controller/base/status.h"
#include "datapath/net/address.h"
#include "datapath/net/event_loop.h"
#include "datapath/net/unique_fd.h"

namespace sluice::net {

struct IoResult {
  enum class State : unsigned char {
    kOk,       // `bytes` were moved (more than zero)
    kBlocked,  // nothing now; a callback follows
    kEof,      // Read only: the peer ends its direction
    kBroken,   // reset, refused, timed out: `error` is an errno; the stream is of no more use
  };
  State state = State::kBlocked;
  std::size_t bytes = 0;
  int error = 0;

  bool ok() const { return state == State::kOk; }
  bool blocked() const { return state == State::kBlocked; }
};

class StreamHandler {
 public:
  virtual ~StreamHandler() = default;
  // Client streams only: the connection (and the TLS handshake, if any) is up; writing may begin.
  virtual void OnConnected() {}
  virtual void OnReadable() = 0;
  virtual void OnWritable() = 0;
  virtual void OnDeadline() = 0;
  // Broken in both directions (refused, unreachable, reset, gone). The last callback. Bytes that
  // arrived before may still be there to Read(). A peer that only finished sending is kEof instead.
  virtual void OnBroken(const base::Status& why) = 0;
};

class Stream {
 public:
  virtual ~Stream() = default;

  // Must be set before the loop's next turn; nullptr is allowed and drops callbacks (a parked
  // stream is then asked by Read()). Setting a handler replays readiness once, so nothing is
  // missed.
  virtual void SetHandler(StreamHandler* handler) = 0;

  virtual IoResult Read(std::span<char> into) = 0;
  // `more`: further bytes follow at once (the header before pages), so do not send a short
  // segment yet. The last piece must go without it. Partial writes are normal.
  virtual IoResult Write(std::span<const iovec> pieces, bool more) = 0;
  IoResult Write(std::span<const char> bytes, bool more) {
    const iovec piece{const_cast<char*>(bytes.data()), bytes.size()};
    return Write(std::span<const iovec>(&piece, 1), more);
  }
  // By reference where sends_pages_by_reference(): the pages must stay as they are until the peer
  // has read them (datapath/store keeps that rule). Else a Write().
  virtual IoResult SendPages(std::span<const char> pages, bool more) { return Write(pages, more); }
  // While held, no segment leaves that is not full, even where the peer's window or a `more` left
  // out would cut one: a quarter fewer segments in a long body. Released before waiting for
  // anything but the socket. Streams that do not go over TCP need not care.
  virtual void HoldSegments(bool hold) { static_cast<void>(hold); }
  // Sends end of stream after what was written; reading goes on.
  virtual void ShutdownWrite() = 0;
  // The destructor will reset the connection instead of ending it: the peer must not take a
  // truncated body for a whole one.
  virtual void Abort() = 0;

  virtual void SetDeadline(base::Duration from_now) = 0;
  virtual void ClearDeadline() = 0;

  virtual EventLoop& loop() = 0;
  virtual const Address& peer() const = 0;
  // False for TLS, and where a sandbox refuses what it takes.
  virtual bool sends_pages_by_reference() { return false; }

  // The kernel's TLS, for tls_stream.cc alone (docs/adr/0291-tls-by-the-kernel.md). True: it may be
  // told keys; until then each write leaves at once, so that none lies about when they come.
  virtual bool OfferKernelTls() { return false; }
  // What is written from here on the kernel makes records of application data of. `info` is one of
  // linux/tls.h's tls12_crypto_info_*. False: it will not, and nothing has changed.
  virtual bool EncryptInKernel(std::span<const char>) { return false; }
  // One record of another type.
  virtual IoResult WriteRecord(unsigned char, std::span<const char>) {
    return {.state = IoResult::State::kBroken, .error = EPROTO};
  }
};

struct SocketOptions {
  bool no_delay = true;  // TCP_NODELAY: `more` does the gathering, Nagle would wait for an ACK
  // Tried in order on every TCP socket where it applies; the host's default may be BBR, which is
  // slow on loopback. Empty: leave the host's choice.
  const char* congestion = "cubic";
  int send_buffer_bytes = 0;     // 0: the kernel tunes it
  int receive_buffer_bytes = 0;  // 0: the kernel tunes it
};

// Options for talking to `peer`: local congestion control only towards this host.
SocketOptions OptionsTowards(const Address& peer);

// Starts connecting; OnConnected() or OnBroken() follows (never from inside this call).
// Errors: what socket() and connect() refuse at once (ResourceExhausted, Unavailable).
base::StatusOr<std::unique_ptr<Stream>> Connect(EventLoop& loop, const Address& peer,
                                                const SocketOptions& options,
                                                StreamHandler* handler);
// Takes over a connected socket (an accepted one); makes it non-blocking.
base::StatusOr<std::unique_ptr<Stream>> AdoptSocket(EventLoop& loop, UniqueFd socket,
                                                    const Address& peer,
                                                    const SocketOptions& options,
                                                    StreamHandler* handler);

}  // namespace sluice::net
