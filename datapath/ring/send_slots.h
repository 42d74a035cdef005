// Bytes of small sends between SendLater() and the completion that says the kernel has them.
// Thread rule: the poller's.
#pragma once

#include <sys/uio.h>

#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <vector>

#include "datapath/ring/limits.h"

struct io_uring_sqe;

namespace sluice::ring {

struct SendSlot {
  char* bytes = nullptr;
  std::size_t begin = 0;  // [begin, end) is still to be sent
  std::size_t end = 0;
  int fd = -1;                    // which was removed, if its place names another slot
  bool submitted = false;         // its completion is still to be taken
  std::uint64_t batch = 0;        // it leaves, or left, with
  io_uring_sqe* entry = nullptr;  // the kernel's once `batch` has left

  void Append(std::span<const iovec> pieces) {
    for (const iovec& piece : pieces) {
      std::memcpy(bytes + end, piece.iov_base, piece.iov_len);
      end += piece.iov_len;
    }
  }
};

class SendSlots {
 public:
  static constexpr std::uint32_t kNone = ~std::uint32_t{0};

  // An empty one, the most recently used first; kNone when all are in use.
  std::uint32_t Take(int fd) {
    if (slab_ == nullptr) Make();
    if (free_.empty()) return kNone;
    const std::uint32_t index = free_.back();
    free_.pop_back();
    slots_[index].fd = fd;
    slots_[index].begin = slots_[index].end = 0;
    return index;
  }
  void Free(std::uint32_t index) { free_.push_back(index); }
  SendSlot& operator[](std::uint32_t index) { return slots_[index]; }
  std::size_t size() const { return slots_.size(); }

 private:
  void Make() {
    slab_.reset(new char[kSendSlots * kSendSlotBytes]);
    slots_.resize(kSendSlots);
    for (std::uint32_t i = kSendSlots; i-- > 0;) {
      slots_[i].bytes = slab_.get() + i * kSendSlotBytes;
      free_.push_back(i);
    }
  }

  std::unique_ptr<char[]> slab_;
  std::vector<SendSlot> slots_;
  std::vector<std::uint32_t> free_;
};

}  // namespace sluice::ring
