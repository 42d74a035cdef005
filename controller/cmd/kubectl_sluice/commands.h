// What each command asks the API server, and what it prints. Reads only.
#pragma once

#include <string>
#include <vector>

#include "controller/base/clock.h"
#include "controller/base/status.h"
#include "controller/client/client.h"
#include "controller/cmd/kubectl_sluice/options.h"
#include "controller/cmd/kubectl_sluice/text.h"

namespace sluice::kubectl {

// Errors of all: the client's; listing.h's; NotFound naming the sites there are.
base::StatusOr<std::string> Why(client::Reader& api, const Options& options, const Style& style,
                                base::WallTime now);
// `yes`: whether the site would enter its next stage now, or the rollout takes its next step.
base::StatusOr<std::string> MayAdvance(client::Reader& api, const Options& options,
                                       base::WallTime now, bool& yes);
base::StatusOr<std::string> SiteTable(client::Reader& api, const Options& options);
base::StatusOr<std::string> Agenda(client::Reader& api, const Options& options, base::WallTime now);
// Manifests for the user to create, in the name the API server knows them by.
base::StatusOr<std::string> Propose(client::Client& api, const Options& options,
                                    base::WallTime now);
base::StatusOr<std::string> CastVote(client::Client& api, const Options& options);
base::StatusOr<std::string> Version(client::Client& api, const Options& options);

// Names of the objects of a kind of words.h, for completion: at most 500, none when they cannot be
// had.
std::vector<std::string> NamesOf(client::Reader& api, const std::string& kind);

}  // namespace sluice::kubectl
