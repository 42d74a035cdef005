#include "reconcilers/site/roster.h"

#include <fmt/format.h>

#include "reconcilers/common/resources.h"
#include "reconcilers/site/inputs.h"
#include "reconcilers/site/objects.h"
#include "reconcilers/site/teardown.h"

namespace sluice::site {

base::Status Roster::Has(const std::string& site, const std::string& node) const {
  for (const cache::Store* store : {&sites, &namespaces, &nodes}) {
    if (!store->synced()) {
      return base::Unavailable(
          fmt::format("{} are not known yet; try again", store->resource().plural));
    }
  }
  const meta::ObjectPtr object = sites.Get({"", site});
  if (object == nullptr) return base::NotFound(fmt::format("there is no Site \"{}\"", site));
  Place place;
  place.namespaces = &namespaces;
  place.nodes = &nodes;
  if (IsElsewhere(*object)) {
    if (clusters == nullptr) return base::PermissionDenied("other clusters are not served");
    place = clusters->Of(*object);
    if (place.nodes == nullptr) {
      return base::Unavailable("the site's cluster: " + place.state.message());
    }
  }
  const std::string ns = NamespaceOf(site);
  const meta::ObjectPtr home = place.namespaces->Get({"", ns});
  if (home == nullptr || !IsControlledBy(*home, *object)) {
    return base::PermissionDenied(
        fmt::format("namespace {} was not made for Site \"{}\"", ns, site));
  }
  const meta::ObjectPtr machine = place.nodes->Get({"", node});
  if (machine == nullptr) return base::NotFound(fmt::format("there is no node \"{}\"", node));
  if (!Selects(*object, *machine)) {
    return base::PermissionDenied(
        fmt::format("Site \"{}\" does not select node \"{}\"", site, node));
  }
  return base::OkStatus();
}

Roster RosterOf(runtime::Manager& manager, const SiteClusters* clusters) {
  const runtime::StoreOptions managed{.ns = "", .label_selector = common::kManagedSelector};
  return {manager.StoreOf(common::kSites), manager.StoreOf(common::kNamespaces, managed),
          manager.StoreOf(common::kNodes), clusters};
}

}  // namespace sluice::site
