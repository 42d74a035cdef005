// S3-FIFO (Yang et al., "FIFO queues are all you need for cache eviction", SOSP 2023): which chunk
// goes next. A small queue holds newcomers, a main queue those that were read again, a ghost queue
// remembers whom the small queue dropped.
//
// A hit only raises a two-bit counter, without lock or list move; queues change when a chunk comes
// or goes. Sizes are bytes. Nodes are the caller's (embedded); Node must have public members
//   Node* fifo_next, *fifo_previous; FifoQueue fifo_queue; std::atomic<std::uint8_t> fifo_hits;
//   and methods std::uint32_t fifo_bytes() const; std::uint64_t fifo_hash() const.
//
// Invariants:
//  1. A node is in at most one queue; bytes() is the sum over all.
//  2. Next() takes its victim out of the queues. The caller drops it or puts it back (Return()).
//  3. Next() never names what lies in a pinned queue, where the caller alone puts nodes.
//  4. The ghost remembers at most as many as the limit given at construction.
//
// Pure: no clock, no I/O. Thread rule: the caller's lock, but for Hit(), which any thread may call.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "controller/base/check.h"

namespace sluice::store {

// From kPinned on: the pinned queues, by number.
enum class FifoQueue : std::uint8_t { kNone, kSmall, kMain, kPinned };

// The last N hashes, with membership in constant time.
class GhostList {
 public:
  explicit GhostList(std::size_t capacity) : ring_(capacity) {}
  void Add(std::uint64_t hash) {
    if (ring_.empty()) return;
    std::uint64_t& slot = ring_[next_];
    if (slot != 0) {
      const auto old = places_.find(slot);
      if (old != places_.end() && old->second == next_) places_.erase(old);
    }
    slot = hash | 1;  // zero marks an empty slot
    places_[slot] = static_cast<std::uint32_t>(next_);
    next_ = next_ + 1 == ring_.size() ? 0 : next_ + 1;
  }
  bool Take(std::uint64_t hash) { return places_.erase(hash | 1) > 0; }
  std::size_t size() const { return places_.size(); }

 private:
  std::vector<std::uint64_t> ring_;
  std::size_t next_ = 0;
  std::unordered_map<std::uint64_t, std::uint32_t> places_;
};

template <typename Node>
class S3Fifo {
 public:
  static constexpr std::uint64_t kSmallShareDivisor = 10;  // the paper's tenth
  static constexpr std::uint8_t kMaxHits = 3;
  static constexpr std::size_t kMaxPinnedQueues = 64;

  S3Fifo(std::uint64_t limit_bytes, std::size_t ghost_entries)
      : small_target_bytes_(limit_bytes / kSmallShareDivisor), ghost_(ghost_entries) {}

  static void Hit(Node& node) {
    const std::uint8_t hits = node.fifo_hits.load(std::memory_order_relaxed);
    // A lost race loses one hit of three: harmless, and cheaper than a locked increment.
    if (hits < kMaxHits) node.fifo_hits.store(hits + 1, std::memory_order_relaxed);
  }

  // As often read as the counter can tell: it will be read again.
  static bool IsHot(const Node& node) {
    return node.fifo_hits.load(std::memory_order_relaxed) == kMaxHits;
  }

  void Insert(Node& node) {
    node.fifo_hits.store(0, std::memory_order_relaxed);
    PushBack(ghost_.Take(node.fifo_hash()) ? FifoQueue::kMain : FifoQueue::kSmall, node);
  }
  // Puts back a victim that could not go (it is in use); it is looked at last.
  void Return(Node& node) { PushBack(FifoQueue::kMain, node); }
  // Into a pinned queue: a newcomer, or a victim that is to stay.
  void InsertPinned(Node& node, std::size_t queue) {
    SLUICE_CHECK(queue < kMaxPinnedQueues);
    node.fifo_hits.store(0, std::memory_order_relaxed);
    PushBack(static_cast<FifoQueue>(static_cast<std::size_t>(FifoQueue::kPinned) + queue), node);
  }
  // All pinned become ordinary: they go where what was read again is.
  void UnpinAll() {
    for (Queue& queue : pinned_) {
      while (queue.head != nullptr) {
        Node& node = *queue.head;
        Unlink(node);
        PushBack(FifoQueue::kMain, node);
      }
    }
  }
  static bool IsPinned(const Node& node) { return node.fifo_queue >= FifoQueue::kPinned; }
  void Remove(Node& node) {
    if (node.fifo_queue != FifoQueue::kNone) Unlink(node);
  }

  // The chunk to go, out of the queues; nullptr when both are empty.
  Node* Next() {
    for (;;) {
      const bool from_small =
          small_.head != nullptr && (small_.bytes > small_target_bytes_ || main_.head == nullptr);
      Node* node = from_small ? small_.head : main_.head;
      if (node == nullptr) return nullptr;
      const std::uint8_t hits = node->fifo_hits.load(std::memory_order_relaxed);
      Unlink(*node);
      if (from_small) {
        if (hits <= 1) {
          ghost_.Add(node->fifo_hash());
          return node;
        }
        node->fifo_hits.store(0, std::memory_order_relaxed);
        PushBack(FifoQueue::kMain, *node);
      } else {
        if (hits == 0) return node;
        node->fifo_hits.store(hits - 1, std::memory_order_relaxed);
        PushBack(FifoQueue::kMain, *node);
      }
    }
  }

  std::uint64_t bytes() const { return small_.bytes + main_.bytes + pinned_bytes(); }
  std::uint64_t pinned_bytes() const {
    std::uint64_t sum = 0;
    for (const Queue& queue : pinned_) sum += queue.bytes;
    return sum;
  }
  std::uint64_t pinned_bytes(std::size_t queue) const { return pinned_[queue].bytes; }
  std::size_t ghost_entries() const { return ghost_.size(); }

 private:
  struct Queue {
    Node* head = nullptr;
    Node* tail = nullptr;
    std::uint64_t bytes = 0;
  };
  Queue& QueueOf(FifoQueue which) {
    if (which >= FifoQueue::kPinned)
      return pinned_[static_cast<std::size_t>(which) -
                     static_cast<std::size_t>(FifoQueue::kPinned)];
    return which == FifoQueue::kSmall ? small_ : main_;
  }

  void PushBack(FifoQueue which, Node& node) {
    SLUICE_CHECK(node.fifo_queue == FifoQueue::kNone);
    Queue& queue = QueueOf(which);
    node.fifo_queue = which;
    node.fifo_next = nullptr;
    node.fifo_previous = queue.tail;
    (queue.tail != nullptr ? queue.tail->fifo_next : queue.head) = &node;
    queue.tail = &node;
    queue.bytes += node.fifo_bytes();
  }
  void Unlink(Node& node) {
    Queue& queue = QueueOf(node.fifo_queue);
    (node.fifo_previous != nullptr ? node.fifo_previous->fifo_next : queue.head) = node.fifo_next;
    (node.fifo_next != nullptr ? node.fifo_next->fifo_previous : queue.tail) = node.fifo_previous;
    queue.bytes -= node.fifo_bytes();
    node.fifo_queue = FifoQueue::kNone;
    node.fifo_next = node.fifo_previous = nullptr;
  }

  const std::uint64_t small_target_bytes_;
  Queue small_;
  Queue main_;
  std::array<Queue, kMaxPinnedQueues> pinned_;
  GhostList ghost_;
};

}  // namespace sluice::store
