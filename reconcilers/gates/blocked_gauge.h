// `sluice_blocked{kind,cause}`: how many objects of a kind each cause holds, by their first cause.
// Every cause of a Hold is there from the start, at zero. Thread rule: any thread.
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "controller/base/metrics.h"
#include "reconcilers/gates/cause.h"

namespace sluice::gates {

class BlockedGauge {
 public:
  BlockedGauge(base::metrics::Registry& registry, std::string kind);
  // What holds the object now; nullopt when nothing does or it is gone.
  void Set(const std::string& name, std::optional<Cause> cause);

 private:
  base::metrics::Gauge& Of(Cause cause);

  base::metrics::Registry& registry_;
  const std::string kind_;
  std::mutex mutex_;
  std::map<std::string, Cause> held_;  // guarded by mutex_; one entry a held object
};

}  // namespace sluice::gates
