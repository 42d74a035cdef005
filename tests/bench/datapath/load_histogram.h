// Latencies in buckets of at most 1.6 % width, from a nanosecond to minutes, in fixed memory.
// Thread rule: a value, one thread.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace sluice::bench {

class Histogram {
 public:
  void Add(std::uint64_t ns) {
    ++counts_[BucketOf(ns)];
    ++total_;
    max_ = std::max(max_, ns);
  }
  std::uint64_t total() const { return total_; }
  std::uint64_t max() const { return max_; }

  // The smallest latency that `share` of all do not exceed, in nanoseconds; zero when empty.
  std::uint64_t Quantile(double share) const {
    const auto wanted = static_cast<std::uint64_t>(share * static_cast<double>(total_));
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < kBuckets; ++i) {
      seen += counts_[i];
      if (seen > wanted) return std::min(UpperEdge(i), max_);
    }
    return max_;
  }

 private:
  static constexpr unsigned kSubBits = 6;  // 64 linear steps in each power of two
  static constexpr std::size_t kSteps = std::size_t{1} << kSubBits;
  static constexpr std::size_t kBuckets = kSteps * 40;

  static std::size_t BucketOf(std::uint64_t ns) {
    if (ns < kSteps) return ns;
    const auto shift = static_cast<unsigned>(std::bit_width(ns)) - 1 - kSubBits;
    return std::min(kBuckets - 1, (shift + 1) * kSteps + ((ns >> shift) - kSteps));
  }
  static std::uint64_t UpperEdge(std::size_t bucket) {
    if (bucket < kSteps) return bucket;
    const std::size_t shift = bucket / kSteps - 1;
    return ((kSteps + bucket % kSteps + 1) << shift) - 1;
  }

  std::array<std::uint64_t, kBuckets> counts_{};
  std::uint64_t total_ = 0;
  std::uint64_t max_ = 0;
};

}  // namespace sluice::bench
