// What the disks hold of one shard and nobody has asked for since the start: entries of summaries
// by the hash of their names. Building it costs a hundredth of what making the objects does, so an
// agent with millions of chunks on disk serves any of them at once and makes the rest behind
// (cache_recovery.cc).
//
// Pure. Thread rule: the shard's mutex.
#pragma once

#include <bit>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

namespace sluice::store {

class DormantIndex {
 public:
  struct Node {
    std::uint32_t table = 0;
    std::uint32_t entry = 0;
    std::uint32_t next = 0;
    std::uint32_t tag = 0;
  };

  // In the order of the log; none after Link().
  void Add(std::uint64_t hash, std::uint32_t table, std::uint32_t entry) {
    nodes_.push_back({table, entry, kNone, static_cast<std::uint32_t>(hash)});
  }
  void Link() {
    heads_.assign(std::bit_ceil(nodes_.size()), kNone);
    for (std::uint32_t i = 0; i < nodes_.size(); ++i) {
      std::uint32_t& head = HeadOf(nodes_[i].tag);
      nodes_[i].next = std::exchange(head, i);
    }
  }
  bool empty() const { return nodes_.empty(); }
  void Clear() { *this = DormantIndex(); }

  // Takes out those of this hash for which `same` says so; what was added last comes first.
  template <typename Same>
  std::vector<Node> Take(std::uint64_t hash, const Same& same) {
    std::vector<Node> taken;
    const auto tag = static_cast<std::uint32_t>(hash);
    for (std::uint32_t* link = &HeadOf(tag); *link != kNone;) {
      Node& node = nodes_[*link];
      if (node.tag == tag && same(node)) {
        taken.push_back(node);
        *link = node.next;
        node.table = kNone;
      } else {
        link = &node.next;
      }
    }
    return taken;
  }
  // One that was not taken yet; nothing: there is none left.
  std::optional<Node> Next() {
    while (next_ < nodes_.size() && nodes_[next_].table == kNone) ++next_;
    return next_ < nodes_.size() ? std::optional(nodes_[next_]) : std::nullopt;
  }

 private:
  static constexpr std::uint32_t kNone = ~std::uint32_t{0};
  std::uint32_t& HeadOf(std::uint32_t tag) { return heads_[tag & (heads_.size() - 1)]; }

  std::vector<Node> nodes_;
  std::vector<std::uint32_t> heads_;  // a power of two; of chains, youngest first
  std::size_t next_ = 0;              // all before it are taken
};

}  // namespace sluice::store
