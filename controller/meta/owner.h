// Owner references: who made an object, and so with whom it goes. Pure; any thread.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "controller/meta/object.h"
#include "controller/meta/resource.h"

namespace sluice::meta {

struct OwnerReference {
  std::string api_version;
  std::string kind;
  std::string name;
  std::string uid;
  bool controller = false;
  bool block_owner_deletion = false;

  // The group alone decides: owners keep their references when their version moves on.
  bool RefersTo(const Resource& resource) const;
  friend bool operator==(const OwnerReference&, const OwnerReference&) = default;
};

// Entries that are not well formed are left out.
std::vector<OwnerReference> OwnersOf(const Object& object);
// The one owner with controller: true.
std::optional<OwnerReference> ControllerOf(const Object& object);

// For the metadata.ownerReferences of what `owner` makes.
nlohmann::json MakeControllerReference(const Resource& resource, const Object& owner);

}  // namespace sluice::meta
