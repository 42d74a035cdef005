// Which changes of the cache matter, and whom they concern. Pure.
#pragma once

#include <string>
#include <vector>

#include "controller/cache/store.h"
#include "controller/runtime/manager.h"

namespace sluice::runtime {

// The default for a controller's own kind: it came, went, began to be deleted, or its generation,
// labels, annotations or finalizers changed. An object without a generation (Secret, ConfigMap)
// matters whenever its resourceVersion changed. A write of its status alone never matters.
bool SpecOrMetadataChanged(const cache::Event& event);

// Keys of the owners of kind `owner` that control the object before or after the event.
std::vector<meta::Key> ControllingOwners(const meta::Resource& owner, const cache::Event& event);

}  // namespace sluice::runtime
