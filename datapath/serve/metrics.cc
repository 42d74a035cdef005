#include "datapath/serve/metrics.h"

#include <fmt/format.h>

#include <iterator>

#include "controller/base/check.h"

namespace sluice::serve {
namespace {

thread_local std::size_t t_cell = 0;

std::string RenderLabels(const Registry::Labels& labels) {
  std::string text;
  for (const auto& [name, value] : labels) {
    text += text.empty() ? "" : ",";
    text += name;
    text += "=\"";
    for (const char c : value) {
      if (c == '\\' || c == '"') text += '\\';
      if (c == '\n') {
        text += "\\n";
      } else {
        text += c;
      }
    }
    text += '"';
  }
  return text;
}

std::string Braced(std::string_view labels) {
  return labels.empty() ? std::string() : fmt::format("{{{}}}", labels);
}

}  // namespace

void UseCell(std::size_t index) { t_cell = index + 1; }
std::size_t CurrentCell() { return t_cell; }

std::uint64_t Counter::Total() const {
  std::uint64_t total = 0;
  for (std::size_t i = 0; i < cells_; ++i) total += values_[i].value.load();
  return total;
}

void Histogram::Observe(std::chrono::nanoseconds value) {
  const double seconds = std::chrono::duration<double>(value).count();
  std::size_t bucket = 0;
  while (bucket < kBounds.size() && seconds > kBounds[bucket]) ++bucket;
  const std::size_t index = CurrentCell();
  Cell& cell = values_[index < cells_ ? index : 0];
  cell.buckets[bucket].fetch_add(1, std::memory_order_relaxed);
  cell.sum_ns.fetch_add(static_cast<std::uint64_t>(value.count()), std::memory_order_relaxed);
}

std::uint64_t Histogram::Count() const {
  std::uint64_t total = 0;
  for (std::size_t i = 0; i < cells_; ++i)
    for (const auto& bucket : values_[i].buckets) total += bucket.load();
  return total;
}

void Histogram::Render(std::string* out, std::string_view name, std::string_view labels) const {
  std::array<std::uint64_t, kBounds.size() + 1> counts{};
  std::uint64_t sum_ns = 0;
  for (std::size_t i = 0; i < cells_; ++i) {
    for (std::size_t b = 0; b < counts.size(); ++b) counts[b] += values_[i].buckets[b].load();
    sum_ns += values_[i].sum_ns.load();
  }
  const char* comma = labels.empty() ? "" : ",";
  std::uint64_t running = 0;
  auto at = std::back_inserter(*out);
  for (std::size_t b = 0; b < kBounds.size(); ++b) {
    running += counts[b];
    fmt::format_to(at, "{}_bucket{{{}{}le=\"{}\"}} {}\n", name, labels, comma, kBounds[b], running);
  }
  running += counts.back();
  fmt::format_to(at, "{}_bucket{{{}{}le=\"+Inf\"}} {}\n", name, labels, comma, running);
  fmt::format_to(at, "{}_sum{} {}\n", name, Braced(labels), static_cast<double>(sum_ns) / 1e9);
  fmt::format_to(at, "{}_count{} {}\n", name, Braced(labels), running);
}

Registry::Child& Registry::ChildOf(std::string_view name, std::string_view help,
                                   std::string_view type, const Labels& labels) {
  auto family = families_.find(name);
  if (family == families_.end()) {
    family = families_.emplace(std::string(name), Family{}).first;
    family->second.help = help;
    family->second.type = type;
  }
  SLUICE_CHECK(family->second.type == type);
  return family->second.children[RenderLabels(labels)];
}

Counter& Registry::CounterOf(std::string_view name, std::string_view help, const Labels& labels,
                             double scale) {
  std::lock_guard lock(mutex_);
  Child& child = ChildOf(name, help, "counter", labels);
  if (child.counter == nullptr) child.counter = std::make_unique<Counter>(cells_);
  child.scale = scale;
  return *child.counter;
}

Histogram& Registry::HistogramOf(std::string_view name, std::string_view help,
                                 const Labels& labels) {
  std::lock_guard lock(mutex_);
  Child& child = ChildOf(name, help, "histogram", labels);
  if (child.histogram == nullptr) child.histogram = std::make_unique<Histogram>(cells_);
  return *child.histogram;
}

void Registry::Watch(std::string_view name, std::string_view help, std::string_view type,
                     const Labels& labels, std::function<double()> read) {
  std::lock_guard lock(mutex_);
  ChildOf(name, help, type, labels).read = std::move(read);
}

std::string Registry::Render() const {
  std::lock_guard lock(mutex_);
  std::string out;
  auto at = std::back_inserter(out);
  for (const auto& [name, family] : families_) {
    fmt::format_to(at, "# HELP {} {}\n# TYPE {} {}\n", name, family.help, name, family.type);
    for (const auto& [labels, child] : family.children) {
      if (child.counter != nullptr && child.scale == 1) {
        fmt::format_to(at, "{}{} {}\n", name, Braced(labels), child.counter->Total());
      } else if (child.counter != nullptr) {
        const double value = static_cast<double>(child.counter->Total()) * child.scale;
        fmt::format_to(at, "{}{} {}\n", name, Braced(labels), value);
      } else if (child.histogram != nullptr) {
        child.histogram->Render(&out, name, labels);
      } else {
        fmt::format_to(at, "{}{} {}\n", name, Braced(labels), child.read());
      }
    }
  }
  return out;
}

}  // namespace sluice::serve
