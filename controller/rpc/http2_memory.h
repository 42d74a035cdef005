// Internal to this folder: the memory of nghttp2's sessions, counted against a Budget; without room
// an allocation fails, and that connection with it.
//
// A session has one block of 16 kB to build frames in, of which ours use the first page: message
// bytes never go there (session.h, invariant 3). Such blocks are whole pages of a pool, so that the
// pages nobody wrote to are no memory; from malloc they would be those another use has left.
#pragma once

#include <nghttp2/nghttp2.h>

#include "controller/rpc/budget.h"

namespace sluice::rpc {

// `budget` outlives what is allocated.
nghttp2_mem CountedMemory(Budget& budget);

}  // namespace sluice::rpc
