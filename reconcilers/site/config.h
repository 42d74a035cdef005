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
  // Not OK: nothing may be published, agents keep what they run. Names the field and the cure. With
  // reason "Held": published it would cut a tenant off whose keys agents have and we do not.
  base::Status status;
  std::shared_ptr<agent::v1::AgentConfig> config;
  std::shared_ptr<agent::v1::Credentials> credentials;
  // Tenants left out, and why: their Secret cannot be used, or another tenant has the same key id.
  std::map<std::string, base::Status> left_out;
};

// `last_good`: keys that worked before, for tenants whose Secret cannot be used now (a typo, or an
// API server that does not answer, must not stop what runs; a Secret that is gone or no longer
// labelled does stop it). A tenant without any, whose status says that agents have keys of it,
// holds the whole configuration: docs/adr/0085.
Derived DeriveConfig(const Inputs& in,
                     const std::map<std::string, std::vector<common::S3Keys>>& last_good);

}  // namespace sluice::site
