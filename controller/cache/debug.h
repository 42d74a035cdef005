// What /debug shows of a cache, and how a cache is called there, in metrics and logs. Pure.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "controller/cache/informer.h"

namespace sluice::cache {

// "secrets (namespace sluice-system, labels sluice.dev/tenant)".
std::string NameOf(const InformerOptions& options);

// store, synced, objects, events, heardSecondsAgo (null: the server told nothing yet; it tells
// something each minute), failures, lastError.
nlohmann::json DebugOf(const std::string& name, const InformerStats& stats, base::MonoTime now);

}  // namespace sluice::cache
