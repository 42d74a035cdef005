// What a gate is asked about a site with, beside what only the asker knows (soak, ballot,
// external): the site's Prometheus, its objectives, what people said of it. Pure; any thread.
#pragma once

#include <string>
#include <vector>

#include "controller/cache/store.h"
#include "reconcilers/gates/gather.h"
#include "reconcilers/gates/objects/people.h"
#include "reconcilers/gates/provider/provider_pool.h"

namespace sluice::v1alpha1 {
class Site;
}  // namespace sluice::v1alpha1

namespace sluice::gates {

// `stage`: the one whose review answers for readiness, and what $stage stands for.
GatherInput SiteInput(const std::string& name, const v1alpha1::Site& site, const std::string& stage,
                      const std::vector<Gate>& gates, const Source& source,
                      const PeopleObjects& people, const cache::Store& objectives);

}  // namespace sluice::gates
