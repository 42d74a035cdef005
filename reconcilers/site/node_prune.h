// What the caches keep of a Node. Most of one is its images, conditions and addresses, 8 to 20 kB
// that nobody here reads, and a site has thousands of nodes.
//
// Invariant: every reader of cached Nodes gets from a pruned one what it gets from the whole:
// Selects (inputs.h), Mismatch (hardware.h), NodeMatters (events.h), Roster (roster.h). Whoever
// reads more of a Node adds it here, and to node_prune_test.cc.
#pragma once

#include "controller/meta/object.h"

namespace sluice::site {

// The node with its identity, labels, deletionTimestamp and capacity alone; capacity whole, since a
// class may name any resource. A node that would not be the same to its readers stays whole. Pure;
// any thread. Called for every event of a node: one pass over its metadata and one over its status,
// no tree of values.
meta::ObjectPtr PruneNode(meta::ObjectPtr node);

}  // namespace sluice::site
