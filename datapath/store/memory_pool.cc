#include "datapath/store/memory_pool.h"

#include "controller/base/check.h"
#include "datapath/store/limits.h"

namespace sluice::store {

// Each use has its own bound and the two bounds add up to the limit: no joint check is needed.
MemoryPool::MemoryPool(std::uint64_t limit_bytes)
    : limit_(limit_bytes), cache_limit_(limit_bytes - limit_bytes / kBufferShareDivisor) {}

bool MemoryPool::TryReserve(Use use, std::uint64_t bytes) {
  std::atomic<std::uint64_t>& used = use == Use::kCache ? cache_ : buffers_;
  const std::uint64_t bound = use == Use::kCache ? cache_limit_ : limit_ - cache_limit_;
  std::uint64_t now = used.load(std::memory_order_relaxed);
  do {
    if (bytes > bound - now) return false;
  } while (!used.compare_exchange_weak(now, now + bytes, std::memory_order_relaxed));
  return true;
}

void MemoryPool::Release(Use use, std::uint64_t bytes) {
  std::atomic<std::uint64_t>& used = use == Use::kCache ? cache_ : buffers_;
  const std::uint64_t before = used.fetch_sub(bytes, std::memory_order_relaxed);
  SLUICE_CHECK(before >= bytes);
}

}  // namespace sluice::store
