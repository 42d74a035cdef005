// What a chain answers to `can-advance`, and JSON as YAML. Pure.
#pragma once

#include <string>

#include "controller/base/clock.h"
#include "controller/cmd/kubectl_sluice/chain.h"

namespace sluice::kubectl {

struct Advance {
  bool yes = false;
  std::string text;  // one line, and a line for each thing that holds
  std::string json;
};

// Whether the next stage would be entered now, by what the controller last recorded: every gate of
// the open Promotion passes and is still valid at `now`, and nothing else holds the Site.
Advance CanAdvance(const Chain& chain, base::WallTime now);

// Block YAML of a JSON text; strings stay strings. `json` must be JSON (SLUICE_CHECK).
std::string YamlOf(const std::string& json);

}  // namespace sluice::kubectl
