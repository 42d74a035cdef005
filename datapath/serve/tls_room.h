// How many TLS connections there may be, of all listeners and loops together, and how many of them
// may still be shaking hands. Nobody has signed anything yet when these are taken, so they may not
// take what signed requests need: all of them have a share of the pool's buffers and no more.
//
// A Slot is a connection's place: its memory is counted in the pool while it exists. It must not
// outlive the room. Thread rule: any thread; lock-free.
#pragma once

#include <atomic>
#include <cstdint>
#include <utility>

#include "datapath/store/memory_pool.h"

namespace sluice::serve {

class TlsRoom {
 public:
  class Slot {
   public:
    Slot() = default;
    Slot(Slot&& other) noexcept
        : room_(std::exchange(other.room_, nullptr)), shaking_(other.shaking_) {}
    Slot& operator=(Slot&& other) noexcept;
    ~Slot() { Leave(); }
    explicit operator bool() const { return room_ != nullptr; }
    bool shaking() const { return room_ != nullptr && shaking_; }
    void HandshakeIsOver();

   private:
    friend class TlsRoom;
    explicit Slot(TlsRoom* room) : room_(room) {}
    void Leave();
    TlsRoom* room_ = nullptr;  // nullptr: no place
    bool shaking_ = true;
  };

  explicit TlsRoom(store::MemoryPool& pool);
  // Without a place when there is no room.
  Slot Take();
  std::uint64_t connections() const { return connections_.load(); }
  std::uint64_t handshakes() const { return handshakes_.load(); }
  std::uint64_t connection_limit() const { return connection_limit_; }

 private:
  store::MemoryPool& pool_;
  const std::uint64_t connection_limit_;
  std::atomic<std::uint64_t> connections_{0};
  std::atomic<std::uint64_t> handshakes_{0};
};

}  // namespace sluice::serve
