// Any bytes that are an object: pruned as a Node it is the same to those who read Nodes, hardly
// larger than it was, and pruned for good.
#include <cstdint>

#include "controller/base/check.h"
#include "controller/meta/json_scanner.h"
#include "reconcilers/site/node_prune.h"
#include "reconcilers/site/node_readers_for_test.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  namespace meta = sluice::meta;
  constexpr std::size_t kFrameBytes = 64;  // kind, apiVersion, metadata and status around nothing
  const auto whole = meta::Object::Parse({reinterpret_cast<const char*>(data), size});
  if (!whole.ok()) return 0;
  const meta::ObjectPtr kept = sluice::site::PruneNode(*whole);
  SLUICE_CHECK(kept->json().size() <= (*whole)->json().size() + kFrameBytes);
  SLUICE_CHECK(sluice::site::WhatReadersGet(*kept) == sluice::site::WhatReadersGet(**whole));
  SLUICE_CHECK(meta::FindMember(kept->metadata_json(), "labels") ==
               meta::FindMember((*whole)->metadata_json(), "labels"));
  SLUICE_CHECK(meta::FindMember(kept->status_json(), "capacity") ==
               meta::FindMember((*whole)->status_json(), "capacity"));
  SLUICE_CHECK(sluice::site::PruneNode(kept)->json() == kept->json());
  return 0;
}
