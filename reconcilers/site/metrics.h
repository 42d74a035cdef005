// Numbers of each site that are nobody's status: gauges with the label `site`.
#pragma once

#include <mutex>
#include <string>

#include "controller/base/metrics.h"
#include "reconcilers/site/inputs.h"
#include "reconcilers/site/status.h"

namespace sluice::site {

// Thread rule: any thread.
class SiteMetrics {
 public:
  explicit SiteMetrics(base::metrics::Registry& registry) : registry_(registry) {}
  void Set(const Inputs& in, const Observed& observed, base::WallTime now);
  void Remove(const std::string& site);

 private:
  base::metrics::Registry& registry_;
  // Held by Set and by Remove: a gauge that Set has in hand must not be removed meanwhile, and a
  // Site that went may be told by the controller of this cluster's Sites and that of all others.
  std::mutex mutex_;
};

}  // namespace sluice::site
