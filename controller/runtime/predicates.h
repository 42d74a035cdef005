// Which changes of the cache matter, and whom they concern. Pure.
#pragma once

#include <string>
#include <vector>

#include "controller/cache/store.h"
#include "controller/runtime/manager.h"

namespace sluice::runtime {

// It came, went, began to be deleted, or its generation changed; or it is another object of its
// name: what was deleted and made anew between two readings of a list is one event, in which only
// the uid need differ. For kinds whose generation is that of their spec; a write of a status, or of
// metadata, never matters.
bool SpecChanged(const cache::Event& event);

// The same, or its labels changed: for what is selected by them, since they raise no generation.
bool SpecOrLabelsChanged(const cache::Event& event);

// The default for a controller's own kind: it came, went, began to be deleted, or its generation,
// labels, annotations or finalizers changed. An object without a generation (Secret, ConfigMap)
// matters whenever its resourceVersion changed. A write of its status alone never matters.
bool SpecOrMetadataChanged(const cache::Event& event);

// Keys of the owners of kind `owner` that control the object before or after the event.
std::vector<meta::Key> ControllingOwners(const meta::Resource& owner, const cache::Event& event);

}  // namespace sluice::runtime
