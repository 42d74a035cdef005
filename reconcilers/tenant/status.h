// What a Tenant's status says. Pure.
#pragma once

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "controller/base/clock.h"
#include "controller/base/status.h"
#include "controller/meta/object.h"
#include "reconcilers/common/binding.h"

namespace sluice::tenant {

struct Facts {
  base::Status credentials;                      // whether its Secret can be used
  std::map<std::string, common::Binding> sites;  // of the sites it names that exist
};

nlohmann::json BuildStatus(const meta::Object& tenant, const Facts& facts, base::WallTime now);

}  // namespace sluice::tenant
