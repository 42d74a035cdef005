#include "reconcilers/site/events.h"

#include "controller/meta/json_scanner.h"
#include "controller/runtime/predicates.h"
#include "reconcilers/site/reconciler.h"

namespace sluice::site {

bool NodeMatters(const cache::Event& event) {
  if (event.before == nullptr || event.after == nullptr) return true;
  // As text: servers write members in one order, and one look too many does no harm.
  return meta::FindMember(event.before->metadata_json(), "labels") !=
             meta::FindMember(event.after->metadata_json(), "labels") ||
         meta::FindMember(event.before->status_json(), "capacity") !=
             meta::FindMember(event.after->status_json(), "capacity");
}

bool SiteMatters(const cache::Event& event) {
  if (runtime::SpecChanged(event)) return true;
  if (event.before->HasFinalizer(kFinalizer) != event.after->HasFinalizer(kFinalizer)) return true;
  return meta::StringMember(event.before->status_json(), "stage") !=
         meta::StringMember(event.after->status_json(), "stage");
}

}  // namespace sluice::site
