// Everything a Site's plan looks at, read once, so that what follows is pure.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "controller/base/clock.h"
#include "controller/base/status.h"
#include "controller/cache/store.h"
#include "controller/meta/object.h"
#include "reconcilers/common/credentials.h"
#include "reconcilers/common/tenants.h"
#include "reconcilers/site/partition.h"
#include "reconcilers/site/place.h"

namespace sluice::v1alpha1 {
class Site;
class SiteClass;
class StagePlan;
class Tenant;
}  // namespace sluice::v1alpha1

namespace sluice::site {

struct OriginSecrets {
  common::S3Keys keys;
  std::string ca_pem;
};

// Where the Release that the Site names is in its life.
struct ReleaseLife {
  std::string name;    // empty: the Site names none
  bool found = false;  // there is such a Release, and it reads
  std::optional<base::WallTime> supported_until;
  std::optional<base::WallTime> end_of_life;
};
// From this instant on it is over.
bool IsPast(const std::optional<base::WallTime>& end, base::WallTime now);
// `release` is the object that the Site names, or null.
ReleaseLife LifeOf(const v1alpha1::Site& site, const meta::ObjectPtr& release);

struct Inputs {
  meta::ObjectPtr object;
  std::shared_ptr<const v1alpha1::Site> site;
  std::string name;
  // Not OK: why the class or its plan cannot be used; the pointer is empty then.
  base::Status class_status;
  std::shared_ptr<const v1alpha1::SiteClass> site_class;
  std::shared_ptr<const v1alpha1::StagePlan> plan;

  // From here to ReleaseLife: read by the leader's controller alone. Agents' configuration depends
  // on none of it.
  // Whether its nodes are in another cluster, what is wrong with that one, and whether its nodes
  // are known at all.
  bool elsewhere = false;
  base::Status cluster_status;
  bool nodes_known = true;
  int selected = 0;  // nodes of the site
  struct Mismatched {
    std::string node;
    std::string lacks;  // of what its class says
  };
  std::vector<Mismatched> mismatched;  // of those, by name

  Partition partition;
  ReleaseLife release;

  std::vector<common::Binding> bindings;
  std::map<std::string, std::shared_ptr<const v1alpha1::Tenant>>
      tenants;                                                          // those that name the site
  std::map<std::string, base::StatusOr<OriginSecrets>> origin_secrets;  // by origin name
  std::map<std::string, base::StatusOr<std::vector<common::S3Keys>>> tenant_keys;  // bound ones
};

// The caches a Site is read from; `nodes` are those of the cluster we are in.
struct Stores {
  cache::Store& sites;
  cache::Store& classes;
  cache::Store& plans;
  cache::Store& tenants;
  cache::Store& nodes;
};

// Whether the Site's nodeSelector selects the node. Pure; reads both where they stand, since it is
// asked for each node at each look, and for each agent.
bool Selects(const meta::Object& site, const meta::Object& node);

// What agents' configuration depends on.
// Errors: Internal when the cached Site is not what its schema says (terminal).
base::StatusOr<Inputs> ReadInputs(const meta::ObjectPtr& site, const Stores& stores,
                                  common::SecretReader& secrets);
// Where the Site is and its nodes there; a nodeSelector may fit nodes of ours by chance. After
// ReadInputs.
void ReadPlace(const Place& place, Inputs& in);

}  // namespace sluice::site
