// Counters of the data plane, in Prometheus's text form.
//
// A hot counter has one cell a thread, on a cache line of its own; a scrape adds the cells up. So a
// request costs a few plain adds and loops never share a line. Children are made when a
// configuration names them (tenant, origin) and exist at zero from then on; their number is bounded
// by limits.h.
//
// Thread rule: Add/Observe from any thread (cells of their own for threads that called
// UseCell()); making children and Render() from any thread, under a mutex.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::serve {

// Cells for this many threads; further threads share the first.
inline constexpr std::size_t kCells = 65;
// Gives the calling thread cell `index` + 1 for its life.
void UseCell(std::size_t index);
std::size_t CurrentCell();

class Counter {
 public:
  explicit Counter(std::size_t cells) : cells_(cells), values_(new Cell[cells]) {}
  void Add(std::uint64_t amount = 1) {
    const std::size_t cell = CurrentCell();
    values_[cell < cells_ ? cell : 0].value.fetch_add(amount, std::memory_order_relaxed);
  }
  std::uint64_t Total() const;

 private:
  struct alignas(64) Cell {
    std::atomic<std::uint64_t> value{0};
  };
  const std::size_t cells_;
  const std::unique_ptr<Cell[]> values_;
};

class Histogram {
 public:
  // Upper bounds in seconds, for latencies from 100 µs to 30 s.
  static constexpr std::array<double, 16> kBounds = {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005,
                                                     0.01,   0.025,   0.05,   0.1,   0.25,   0.5,
                                                     1,      2.5,     10,     30};
  explicit Histogram(std::size_t cells) : cells_(cells), values_(new Cell[cells]) {}
  void Observe(std::chrono::nanoseconds value);
  void Render(std::string* out, std::string_view name, std::string_view labels) const;
  std::uint64_t Count() const;

 private:
  struct alignas(64) Cell {
    std::array<std::atomic<std::uint64_t>, kBounds.size() + 1> buckets{};
    std::atomic<std::uint64_t> sum_ns{0};
  };
  const std::size_t cells_;
  const std::unique_ptr<Cell[]> values_;
};

class Registry {
 public:
  explicit Registry(std::size_t threads) : cells_(threads + 1) {}
  using Labels = std::vector<std::pair<std::string_view, std::string>>;

  // The child with these labels, made at zero when it is new. References stay good for ever.
  // `scale`: rendered as this many times the count (a counter of nanoseconds shown in seconds).
  Counter& CounterOf(std::string_view name, std::string_view help, const Labels& labels,
                     double scale = 1);
  Histogram& HistogramOf(std::string_view name, std::string_view help, const Labels& labels);
  // A value read at each scrape. `type`: "gauge" or "counter".
  void Watch(std::string_view name, std::string_view help, std::string_view type,
             const Labels& labels, std::function<double()> read);
  std::string Render() const;

 private:
  struct Child {
    std::unique_ptr<Counter> counter;
    double scale = 1;
    std::unique_ptr<Histogram> histogram;
    std::function<double()> read;
  };
  struct Family {
    std::string help;
    std::string type;
    std::map<std::string, Child> children;  // by rendered labels
  };
  Child& ChildOf(std::string_view name, std::string_view help, std::string_view type,
                 const Labels& labels);

  const std::size_t cells_;
  mutable std::mutex mutex_;
  std::map<std::string, Family, std::less<>> families_;  // guarded by mutex_
};

}  // namespace sluice::serve
