#include "controller/rpc/http2_memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <new>
#include <vector>

namespace sluice::rpc {
namespace {

constexpr std::size_t kPooledBytes = 20 << 10;  // five pages: nghttp2's 16 kB and a few bytes
constexpr std::size_t kPooledFrom = 16 << 10;
constexpr std::size_t kPooledAtOnce = 64;

// Address space is kept for ever, at most that of the most connections there were; memory is not.
class PagePool {
 public:
  void* Take() {
    const std::lock_guard lock(mutex_);
    if (free_.empty()) {
      void* const more = mmap(nullptr, kPooledAtOnce * kPooledBytes, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      if (more == MAP_FAILED) return nullptr;
      madvise(more, kPooledAtOnce * kPooledBytes, MADV_NOHUGEPAGE);
      for (std::size_t i = 0; i < kPooledAtOnce; ++i) {
        free_.push_back(static_cast<char*>(more) + i * kPooledBytes);
      }
    }
    void* const taken = free_.back();
    free_.pop_back();
    return taken;
  }
  void Give(void* block) {
    madvise(block, kPooledBytes, MADV_DONTNEED);
    const std::lock_guard lock(mutex_);
    free_.push_back(block);
  }

 private:
  std::mutex mutex_;
  std::vector<void*> free_;  // guarded by mutex_
};

PagePool& Pages() {
  static PagePool* const pool = new PagePool;  // outlives every static session
  return *pool;
}

// Before each block of memory.
struct alignas(std::max_align_t) BlockHead {
  std::size_t bytes;  // without this head
  bool pooled;
};

void* AllocateBlock(std::size_t bytes, void* budget) {
  const std::size_t all = bytes + sizeof(BlockHead);
  const bool pooled = all >= kPooledFrom && all <= kPooledBytes;
  if (bytes > PTRDIFF_MAX || !static_cast<Budget*>(budget)->Take(all)) return nullptr;
  void* const memory = pooled ? Pages().Take() : std::malloc(all);
  if (memory == nullptr) {
    static_cast<Budget*>(budget)->Give(all);
    return nullptr;
  }
  return new (memory) BlockHead{bytes, pooled} + 1;
}

void FreeBlock(void* block, void* budget) {
  if (block == nullptr) return;
  BlockHead* const head = static_cast<BlockHead*>(block) - 1;
  static_cast<Budget*>(budget)->Give(head->bytes + sizeof(BlockHead));
  if (head->pooled) {
    Pages().Give(head);
  } else {
    std::free(head);
  }
}

void* AllocateClearBlock(std::size_t count, std::size_t size, void* budget) {
  void* const block = AllocateBlock(count * size, budget);  // nghttp2 asks for small counts only
  if (block != nullptr) std::memset(block, 0, count * size);
  return block;
}

void* ReallocateBlock(void* block, std::size_t bytes, void* budget) {
  void* const moved = AllocateBlock(bytes, budget);
  if (moved == nullptr || block == nullptr) return moved;
  std::memcpy(moved, block, std::min(bytes, (static_cast<BlockHead*>(block) - 1)->bytes));
  FreeBlock(block, budget);
  return moved;
}

}  // namespace

nghttp2_mem CountedMemory(Budget& budget) {
  return {&budget, AllocateBlock, FreeBlock, AllocateClearBlock, ReallocateBlock};
}

}  // namespace sluice::rpc
