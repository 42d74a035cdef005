// What a chain answers to `can-advance`, and an answer in the form that was asked for. Pure.
#pragma once

#include <string>

#include "controller/base/clock.h"
#include "controller/cmd/kubectl_sluice/chain.h"
#include "controller/cmd/kubectl_sluice/options.h"

namespace sluice::kubectl {

struct Advance {
  bool yes = false;
  std::string text;  // one line, and a line for each thing that holds
  std::string json;
};

// Whether the next stage would be entered now, by what the controller last recorded: every gate of
// the open Promotion passes and is still valid at `now`, and nothing else holds the Site. Of a Site
// whose record is stale it cannot be told: not yes, and no holds.
Advance CanAdvance(const Chain& chain, base::WallTime now);

// `text` for people (text, wide), or `json` as it is or as YAML.
std::string Formatted(Output output, const std::string& text, const std::string& json);

// Block YAML of a JSON text; strings stay strings. `json` must be JSON (SLUICE_CHECK).
std::string YamlOf(const std::string& json);

}  // namespace sluice::kubectl
