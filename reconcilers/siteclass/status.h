// What a SiteClass's status says. Pure.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "controller/base/clock.h"
#include "controller/meta/object.h"

namespace sluice::siteclass {

struct Facts {
  int sites = 0;            // that name the class
  bool plan_found = false;  // spec.stagePlanRef exists
};

nlohmann::json BuildStatus(const meta::Object& site_class, const Facts& facts, base::WallTime now);

}  // namespace sluice::siteclass
