// Numbers of each site that are nobody's status: gauges with the label `site`.
#pragma once

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
};

}  // namespace sluice::site
