#include "datapath/ring/receive_buffers.h"

#include <liburing.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace sluice::ring {
namespace {

constexpr std::size_t kGivenBytes = kReceiveBuffers * sizeof(io_uring_buf);

}  // namespace

ReceiveBuffers::~ReceiveBuffers() {
  if (given_ != nullptr) ::munmap(given_, kGivenBytes);
}

int ReceiveBuffers::Register(io_uring* ring) {
  if (given_ != nullptr) ::munmap(given_, kGivenBytes);  // an earlier ring's
  given_ = nullptr;
  void* const shared =
      ::mmap(nullptr, kGivenBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) return errno;
  given_ = static_cast<io_uring_buf_ring*>(shared);
  io_uring_buf_reg about{};
  about.ring_addr = reinterpret_cast<std::uintptr_t>(shared);
  about.ring_entries = kReceiveBuffers;
  about.bgid = kGroup;
  if (const int error = -io_uring_register_buf_ring(ring, &about, 0); error != 0) {
    ::munmap(given_, kGivenBytes);
    given_ = nullptr;
    return error;
  }
  if (slab_ == nullptr) slab_.reset(new char[kReceiveBuffers * kReceiveBytes]);
  io_uring_buf_ring_init(given_);
  for (std::uint16_t i = 0; i < kReceiveBuffers; ++i)
    if (!buffers_[i].unread) GiveBack(i);
  return 0;
}

void ReceiveBuffers::Append(Unread& to, std::uint16_t buffer, std::size_t bytes) {
  buffers_[buffer] = {
      .unread = true, .next = kNone, .begin = 0, .end = static_cast<std::uint32_t>(bytes)};
  (to.first == kNone ? to.first : buffers_[to.last].next) = buffer;
  to.last = buffer;
  ++to.count;
}

std::size_t ReceiveBuffers::Read(Unread& from, std::span<char> into) {
  std::size_t copied = 0;
  while (from.first != kNone && copied < into.size()) {
    const std::uint16_t index = from.first;
    Buffer& buffer = buffers_[index];
    const std::size_t part = std::min<std::size_t>(buffer.end - buffer.begin, into.size() - copied);
    std::memcpy(into.data() + copied, BytesOf(index) + buffer.begin, part);
    copied += part;
    buffer.begin += static_cast<std::uint32_t>(part);
    if (buffer.begin < buffer.end) break;
    from.first = buffer.next;
    --from.count;
    GiveBack(index);
  }
  return copied;
}

void ReceiveBuffers::Forget(Unread& unread) {
  for (std::uint16_t i = unread.first; i != kNone;) {
    const std::uint16_t next = buffers_[i].next;
    GiveBack(i);
    i = next;
  }
  unread = Unread{};
}

void ReceiveBuffers::GiveBack(std::uint16_t buffer) {
  buffers_[buffer].unread = false;
  if (given_ == nullptr) return;
  io_uring_buf_ring_add(given_, BytesOf(buffer), kReceiveBytes, buffer,
                        io_uring_buf_ring_mask(kReceiveBuffers), 0);
  io_uring_buf_ring_advance(given_, 1);
}

}  // namespace sluice::ring
