// Internal to this folder: how many bytes all connections of a server may hold together. Any
// thread.
#pragma once

#include <atomic>
#include <cstddef>

namespace sluice::rpc {

class Budget {
 public:
  explicit Budget(std::size_t most_bytes) : most_bytes_(most_bytes) {}

  // False: there is no room, and nothing was taken.
  bool Take(std::size_t bytes) {
    if (used_.fetch_add(bytes, std::memory_order_relaxed) + bytes <= most_bytes_) return true;
    Give(bytes);
    return false;
  }
  void Give(std::size_t bytes) { used_.fetch_sub(bytes, std::memory_order_relaxed); }
  std::size_t used() const { return used_.load(std::memory_order_relaxed); }

 private:
  const std::size_t most_bytes_;
  std::atomic<std::size_t> used_{0};
};

}  // namespace sluice::rpc
