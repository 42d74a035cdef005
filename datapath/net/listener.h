// Accepts connections on one loop and hands each socket to its owner, who may pass it to any loop.
//
// One listening socket a configured address, whatever the number of loops: connections are dealt
// out evenly by the owner, and one descriptor is all that an upgrade has to hand over
// (docs/adr/0036-one-listener.md).
//
// Thread rule: the loop's thread. Stop: Close() or the destructor; connections in the backlog that
// were not accepted are reset by the kernel. Errors while accepting are counted by the owner
// through `on_error` and never end the listener; out of descriptors or memory it rests for
// kAcceptRest.
#pragma once

#include <memory>

#include "controller/base/status.h"
#include "datapath/net/address.h"
#include "datapath/net/event_loop.h"
#include "datapath/net/stream.h"
#include "datapath/net/unique_fd.h"

namespace sluice::net {

class Listener final : public FdHandler {
 public:
  struct Options {
    SocketOptions socket;     // set on the listening socket; accepted ones inherit
    mode_t unix_mode = 0666;  // of the socket file: identity is proven by SigV4, not by the file
  };
  using OnAccept = Callback<void(UniqueFd, const Address& peer)>;
  using OnError = Callback<void(const base::Status&)>;

  // Binds and listens. A unix socket file left by a dead process is replaced; a live one is not.
  // Errors: AlreadyExists (address in use), PermissionDenied, InvalidArgument.
  static base::StatusOr<std::unique_ptr<Listener>> Listen(EventLoop& loop, const Address& address,
                                                          const Options& options,
                                                          OnAccept on_accept, OnError on_error);
  // Takes over a socket that listens already (handed over by another process).
  static base::StatusOr<std::unique_ptr<Listener>> Adopt(EventLoop& loop, UniqueFd socket,
                                                         OnAccept on_accept, OnError on_error);
  ~Listener() override;
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  void Close();                                    // idempotent; the unix socket file is removed
  const Address& bound() const { return bound_; }  // with the port the kernel chose
  int fd() const { return fd_.get(); }

  void OnReady(const ring::Event& event) override;

 private:
  Listener(EventLoop& loop, UniqueFd fd, const Address& bound, bool owns_path, OnAccept on_accept,
           OnError on_error);
  base::Status Start();
  void AcceptSome();

  EventLoop& loop_;
  UniqueFd fd_;
  const Address bound_;
  const bool owns_path_;
  OnAccept on_accept_;
  OnError on_error_;
  std::uint64_t token_ = 0;
  bool watched_ = false;
  Timer again_;  // more to accept than one turn takes, or a rest
};

}  // namespace sluice::net
