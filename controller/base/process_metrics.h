// What Prometheus' own client libraries tell of a process, under their names (process_*), which
// stock dashboards ask for. Read from /proc/self at each scrape; what cannot be read is 0.
//
// Thread rule: any thread.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace sluice::base::metrics {

class Registry;

struct ProcessMetric {
  std::string name;
  std::string help;
  bool counter = false;  // else a gauge
  std::function<double()> read;
};

std::vector<ProcessMetric> ProcessMetrics();
// All of them into `registry`, without labels.
void AddProcessMetrics(Registry& registry);

}  // namespace sluice::base::metrics
