// The chain for people. Pure.
#pragma once

#include <string>
#include <vector>

#include "controller/base/clock.h"
#include "controller/cmd/kubectl_sluice/chain.h"

namespace sluice::kubectl {

struct Style {
  bool colour = false;
  bool evidence = false;
};

// By what the environment says in NO_COLOR (https://no-color.org) and TERM; nullptr: not set.
bool WantsColour(bool terminal, const char* no_color, const char* term);

std::string RenderText(const Chain& chain, const Style& style, base::WallTime now);

// "4 d 3 h ago"; empty when the time does not read.
std::string Ago(const std::string& time, base::WallTime now);

// Who or what ends a hold, and how long it has held: "unblocked by eve; since 2 h". Either may be
// empty; "time: T" unblocks by itself.
std::string Unblocking(const std::string& unblocked_by, const std::string& since,
                       base::WallTime now);

// One line of `status`.
struct SiteLine {
  std::string site, stage, wants, ready, agents, blocker;
};
std::string RenderTable(const std::vector<SiteLine>& lines);

}  // namespace sluice::kubectl
