// `sluice-agent check`: what of this machine helps or hinders the agent, each finding with its
// cure.
#pragma once

#include <string>
#include <vector>

#include "controller/base/clock.h"
#include "datapath/control/config.h"

namespace sluice::cmd {

struct Finding {
  enum class Level { kOk, kWarning, kError } level = Level::kOk;
  std::string what;
  std::string cure;  // empty when kOk
};

// `config` may be null: then only what does not depend on it. Reads the system, changes nothing but
// the disk folders, in which it makes and removes a file.
std::vector<Finding> Preflight(const control::Config* config, ring::PollerKind poller,
                               base::WallTime now);
// Of one listener's certificates: unreadable, not each other's, ended, ending, a key for all to
// read.
std::vector<Finding> CheckCertificates(const control::Listen& listener, base::WallTime now);
// One line each; the number of errors.
std::string Render(const std::vector<Finding>& findings, int* errors);

}  // namespace sluice::cmd
