// Internal to this folder: a Prometheus query of OpenSLO in our form. Pure.
#pragma once

#include <string>
#include <vector>

namespace sluice::openslo {

struct ReadQuery {
  std::string promql;              // over $window where it is windowed
  std::vector<std::string> rules;  // that it breaks
};

// `windowed`: it has to count over $window; a `counter`'s plain selector is made to.
ReadQuery PrometheusQuery(std::string text, bool windowed, bool counter);

}  // namespace sluice::openslo
