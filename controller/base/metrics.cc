#include "controller/base/metrics.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "controller/base/check.h"

namespace sluice::base::metrics {
namespace {

enum Type { kCounter, kGauge, kHistogram };
constexpr const char* kTypeNames[] = {"counter", "gauge", "histogram"};

std::string Escaped(const std::string& text, bool quotes) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    if (c == '\\') {
      out += "\\\\";
    } else if (c == '\n') {
      out += "\\n";
    } else if (quotes && c == '"') {
      out += "\\\"";
    } else {
      out += c;
    }
  }
  return out;
}

std::string Number(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
  return fmt::format("{}", value);
}

// `a="x",b="y"`, in the order given.
std::string Rendered(const Labels& labels) {
  std::string out;
  for (const auto& [key, value] : labels) {
    if (!out.empty()) out += ',';
    out += fmt::format("{}=\"{}\"", key, Escaped(value, true));
  }
  return out;
}

void Line(std::string& out, const std::string& name, const std::string& labels, double value) {
  out += name;
  if (!labels.empty()) out += '{' + labels + '}';
  out += ' ' + Number(value) + '\n';
}

}  // namespace

Histogram::Histogram(std::vector<double> bounds)
    : bounds_(std::move(bounds)),
      counts_(std::make_unique<std::atomic<std::uint64_t>[]>(bounds_.size() + 1)) {
  SLUICE_CHECK(std::is_sorted(bounds_.begin(), bounds_.end()));
}

void Histogram::Observe(double value) {
  // In order, not by halves: what is measured often is short, and so among the first.
  std::size_t at = 0;
  while (at < bounds_.size() && bounds_[at] < value) ++at;
  counts_[at].fetch_add(1, std::memory_order_relaxed);
  sum_.fetch_add(value, std::memory_order_relaxed);
}

std::uint64_t Histogram::count() const {
  std::uint64_t total = 0;
  for (std::size_t i = 0; i <= bounds_.size(); ++i) total += bucket(i);
  return total;
}

std::vector<double> ExponentialBounds(double first, double factor, int count) {
  std::vector<double> bounds;
  for (int i = 0; i < count; ++i, first *= factor) bounds.push_back(first);
  return bounds;
}

struct Registry::Series {
  Labels labels;
  Counter counter;
  Gauge gauge;
  std::unique_ptr<Histogram> histogram;
  std::function<double()> read;
};

struct Registry::Family {
  std::string help;
  int type = kCounter;
  std::map<std::string, std::unique_ptr<Series>> series;  // by rendered labels
};

Registry::Registry() = default;
Registry::~Registry() = default;

Registry::Series& Registry::FindOrMake(const std::string& name, const std::string& help, int type,
                                       const Labels& labels, const std::vector<double>* bounds) {
  auto& family = families_[name];
  if (family == nullptr) {
    family = std::make_unique<Family>();
    family->help = help;
    family->type = type;
  }
  SLUICE_CHECK(family->type == type);
  SLUICE_CHECK(name.ends_with("_total") == (type == kCounter));
  std::string key = Rendered(labels);
  Labels kept = labels;
  if (!family->series.contains(key) && family->series.size() >= kMaxSeriesPerFamily) {
    for (auto& [label, value] : kept) value = "overflow";
    key = Rendered(kept);
  }
  auto& series = family->series[key];
  if (series == nullptr) {
    series = std::make_unique<Series>();
    series->labels = std::move(kept);
    if (bounds != nullptr) series->histogram = std::make_unique<Histogram>(*bounds);
  }
  return *series;
}

Counter& Registry::GetCounter(const std::string& name, const std::string& help,
                              const Labels& labels) {
  const std::lock_guard lock(mutex_);
  return FindOrMake(name, help, kCounter, labels, nullptr).counter;
}

Gauge& Registry::GetGauge(const std::string& name, const std::string& help, const Labels& labels) {
  const std::lock_guard lock(mutex_);
  return FindOrMake(name, help, kGauge, labels, nullptr).gauge;
}

Histogram& Registry::GetHistogram(const std::string& name, const std::string& help,
                                  const std::vector<double>& bounds, const Labels& labels) {
  const std::lock_guard lock(mutex_);
  return *FindOrMake(name, help, kHistogram, labels, &bounds).histogram;
}

void Registry::AddGauge(const std::string& name, const std::string& help, const Labels& labels,
                        std::function<double()> read) {
  const std::lock_guard lock(mutex_);
  FindOrMake(name, help, kGauge, labels, nullptr).read = std::move(read);
}

void Registry::AddCounter(const std::string& name, const std::string& help, const Labels& labels,
                          std::function<double()> read) {
  const std::lock_guard lock(mutex_);
  FindOrMake(name, help, kCounter, labels, nullptr).read = std::move(read);
}

void Registry::RemoveSeries(const std::string& name, const std::string& key,
                            const std::string& value) {
  const std::lock_guard lock(mutex_);
  const auto family = families_.find(name);
  if (family == families_.end()) return;
  std::erase_if(family->second->series, [&](const auto& entry) {
    const Labels& labels = entry.second->labels;
    return std::find(labels.begin(), labels.end(), std::pair(key, value)) != labels.end();
  });
}

std::string Registry::Expose() const {
  const std::lock_guard lock(mutex_);
  std::string out;
  for (const auto& [name, family] : families_) {
    out += fmt::format("# HELP {} {}\n# TYPE {} {}\n", name, Escaped(family->help, false), name,
                       kTypeNames[family->type]);
    for (const auto& [labels, series] : family->series) {
      if (family->type == kCounter) {
        Line(out, name, labels, series->read ? series->read() : series->counter.value());
      } else if (family->type == kGauge) {
        Line(out, name, labels, series->read ? series->read() : series->gauge.value());
      } else {
        const Histogram& histogram = *series->histogram;
        const std::string prefix = labels.empty() ? "" : labels + ",";
        std::uint64_t total = 0;
        for (std::size_t i = 0; i <= histogram.bounds().size(); ++i) {
          total += histogram.bucket(i);
          const std::string bound =
              i < histogram.bounds().size() ? Number(histogram.bounds()[i]) : "+Inf";
          Line(out, name + "_bucket", prefix + "le=\"" + bound + "\"", static_cast<double>(total));
        }
        Line(out, name + "_sum", labels, histogram.sum());
        Line(out, name + "_count", labels, static_cast<double>(total));
      }
    }
  }
  return out;
}

}  // namespace sluice::base::metrics
