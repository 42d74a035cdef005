// What /debug shows: who leads, caches, queues and last errors, as JSON. Reads what it is given,
// does no I/O. Any thread.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "controller/runtime/controller_entry.h"
#include "controller/runtime/store_set.h"

namespace sluice::runtime {

std::string DebugText(bool leading, const std::string& holder,
                      const std::vector<StoreSet::Line>& stores,
                      const std::deque<std::unique_ptr<ControllerEntry>>& controllers);

}  // namespace sluice::runtime
