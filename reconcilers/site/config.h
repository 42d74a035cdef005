// What a site's agents are configured with. Pure.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "controller/base/status.h"
#include "reconcilers/site/inputs.h"

namespace sluice::agent::v1 {
class AgentConfig;
class Credentials;
}  // namespace sluice::agent::v1

namespace sluice::site {

struct Derived {
  // Not OK: nothing may be published, agents keep what they run. Names the field and the cure.
  base::Status status;
  std::shared_ptr<agent::v1::AgentConfig> config;
  std::shared_ptr<agent::v1::Credentials> credentials;
  // Tenants left out, and why: their Secret cannot be used, or another tenant has the same key id.
  std::map<std::string, base::Status> left_out;
};

// `last_good`: keys that worked before, for tenants whose Secret is malformed now (a typo must not
// stop what runs; a Secret that is gone or no longer labelled does stop it).
Derived DeriveConfig(const Inputs& in,
                     const std::map<std::string, std::vector<common::S3Keys>>& last_good);

}  // namespace sluice::site
