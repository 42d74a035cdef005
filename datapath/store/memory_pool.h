// The one account of the agent's memory: cache segments, fills and buffers are all taken from it,
// and nothing that grows with load is taken from anywhere else.
//
// Invariant: used() <= limit() at every instant. The cache may take all but the buffers' share
// (limits.h), so that requests can always be read and refused even when every byte is pinned.
//
// Thread rule: any thread; lock-free.
#pragma once

#include <atomic>
#include <cstdint>

namespace sluice::store {

class MemoryPool {
 public:
  enum class Use { kCache, kBuffer };

  explicit MemoryPool(std::uint64_t limit_bytes);
  // False: there is no room now; nothing was taken.
  [[nodiscard]] bool TryReserve(Use use, std::uint64_t bytes);
  void Release(Use use, std::uint64_t bytes);

  std::uint64_t limit() const { return limit_; }
  std::uint64_t cache_limit() const { return cache_limit_; }
  std::uint64_t used() const { return cache_.load() + buffers_.load(); }
  std::uint64_t cache_used() const { return cache_.load(); }
  std::uint64_t buffers_used() const { return buffers_.load(); }

 private:
  const std::uint64_t limit_;
  const std::uint64_t cache_limit_;
  std::atomic<std::uint64_t> cache_{0};
  std::atomic<std::uint64_t> buffers_{0};
};

}  // namespace sluice::store
