// Counters, gauges and histograms, and their text for Prometheus (exposition format 0.0.4).
//
//   Registry registry;
//   Counter& errors = registry.GetCounter("x_errors_total", "Errors of x.", {{"site", "phoenix"}});
//   errors.Add();
//
// A series is made once, at start, so that it is scraped as zero before anything happens; updating
// it afterwards takes no lock. Every family holds at most kMaxSeriesPerFamily series: the ones
// beyond it all land in one series whose labels read "overflow", so a label that turned out to be
// unbounded costs its own resolution and nothing else. Why not prometheus-cpp: ADR 0070.
//
// Thread rule: any thread. A returned reference is valid until its series is removed (RemoveSeries)
// or the registry ends; functions given to AddGauge and AddCounter run on the scraping thread
// with the registry locked: they must not call it and must not wait (for a disk, for the network,
// for a mutex that is held meanwhile), because whoever asks for a series would wait with them.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace sluice::base::metrics {

inline constexpr std::size_t kMaxSeriesPerFamily = 20'000;

using Labels = std::vector<std::pair<std::string, std::string>>;

class Counter {
 public:
  void Add(double by = 1) { value_.fetch_add(by, std::memory_order_relaxed); }
  double value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<double> value_{0};
};

class Gauge {
 public:
  void Set(double value) { value_.store(value, std::memory_order_relaxed); }
  void Add(double by) { value_.fetch_add(by, std::memory_order_relaxed); }
  double value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<double> value_{0};
};

class Histogram {
 public:
  // `bounds`: upper bounds, ascending, without +Inf.
  explicit Histogram(std::vector<double> bounds);
  void Observe(double value);
  std::uint64_t count() const;
  double sum() const { return sum_.load(std::memory_order_relaxed); }
  const std::vector<double>& bounds() const { return bounds_; }
  // Observations in bucket `i` alone; i == bounds().size() is the one up to +Inf.
  std::uint64_t bucket(std::size_t i) const { return counts_[i].load(std::memory_order_relaxed); }

 private:
  std::vector<double> bounds_;
  std::unique_ptr<std::atomic<std::uint64_t>[]> counts_;
  std::atomic<double> sum_{0};
};

std::vector<double> ExponentialBounds(double first, double factor, int count);

class Registry {
 public:
  Registry();
  ~Registry();
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;

  // The series with these labels, made when it is not there. A family has one type, for ever; the
  // names of counters, and only these, end in `_total`.
  Counter& GetCounter(const std::string& name, const std::string& help, const Labels& labels = {});
  Gauge& GetGauge(const std::string& name, const std::string& help, const Labels& labels = {});
  Histogram& GetHistogram(const std::string& name, const std::string& help,
                          const std::vector<double>& bounds, const Labels& labels = {});
  // A gauge, or a counter, read when it is scraped. Replaces an earlier function of the same
  // series.
  void AddGauge(const std::string& name, const std::string& help, const Labels& labels,
                std::function<double()> read);
  void AddCounter(const std::string& name, const std::string& help, const Labels& labels,
                  std::function<double()> read);
  // Forgets every series of the family whose label `key` has this value (the object is gone).
  void RemoveSeries(const std::string& name, const std::string& key, const std::string& value);

  // The text a scrape gets: families and series sorted, so equal states give equal bytes.
  std::string Expose() const;

 private:
  struct Family;
  struct Series;
  Series& FindOrMake(const std::string& name, const std::string& help, int type,
                     const Labels& labels, const std::vector<double>* bounds);

  mutable std::mutex mutex_;
  std::map<std::string, std::unique_ptr<Family>> families_;
};

}  // namespace sluice::base::metrics
