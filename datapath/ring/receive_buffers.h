// Buffers that the kernel puts received bytes into, and those of them that were not read yet, as a
// list for each descriptor. Thread rule: the poller's.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstdint>
#include <memory>
#include <span>

#include "datapath/ring/limits.h"

struct io_uring;
struct io_uring_buf_ring;

namespace sluice::ring {

class ReceiveBuffers {
 public:
  static constexpr std::uint16_t kNone = 0xffff;
  static constexpr int kGroup = 0;  // their number in the ring

  // Of one descriptor: which are unread, the oldest first.
  struct Unread {
    std::uint16_t first = kNone;
    std::uint16_t last = kNone;
    std::uint16_t count = 0;
  };

  ReceiveBuffers() = default;
  ~ReceiveBuffers();
  ReceiveBuffers(const ReceiveBuffers&) = delete;
  ReceiveBuffers& operator=(const ReceiveBuffers&) = delete;

  // Gives all but the unread to a ring that was just opened. 0, or an errno: no memory, or
  // io_uring_register is refused.
  int Register(io_uring* ring);

  void Append(Unread& to, std::uint16_t buffer, std::size_t bytes);
  // Copies what is unread, as much as fits; what was copied whole goes back to the kernel.
  std::size_t Read(Unread& from, std::span<char> into);
  void Forget(Unread& unread);
  void GiveBack(std::uint16_t buffer);

 private:
  struct Buffer {
    bool unread = false;
    std::uint16_t next = kNone;
    std::uint32_t begin = 0;
    std::uint32_t end = 0;
  };
  char* BytesOf(std::uint16_t buffer) { return slab_.get() + buffer * kReceiveBytes; }

  io_uring_buf_ring* given_ = nullptr;  // shared with the kernel
  std::unique_ptr<char[]> slab_;
  std::array<Buffer, kReceiveBuffers> buffers_;
};

}  // namespace sluice::ring
