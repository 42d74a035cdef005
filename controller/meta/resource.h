// What a kind of object is called, and what one object is called. Values; any thread.
#pragma once

#include <compare>
#include <functional>
#include <string>

namespace sluice::meta {

struct Resource {
  std::string group;    // "" for the core group
  std::string version;  // "v1alpha1"
  std::string kind;     // "Site"
  std::string plural;   // "sites"
  bool namespaced = false;

  std::string ApiVersion() const { return group.empty() ? version : group + "/" + version; }
  // "sites.sluice.dev", or "pods" in the core group; for messages and metric labels.
  std::string GroupResource() const { return group.empty() ? plural : plural + "." + group; }
  friend bool operator==(const Resource&, const Resource&) = default;
};

struct Key {
  std::string ns;  // empty for cluster-scoped objects
  std::string name;

  std::string ToString() const { return ns.empty() ? name : ns + "/" + name; }
  friend auto operator<=>(const Key&, const Key&) = default;
};

struct KeyHash {
  std::size_t operator()(const Key& key) const {
    const std::hash<std::string> hash;
    return hash(key.ns) * 31 + hash(key.name);
  }
};

}  // namespace sluice::meta
