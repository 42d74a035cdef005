#include "reconcilers/site/metrics.h"

#include <algorithm>
#include <array>

#include "api/v1alpha1/site.pb.h"

namespace sluice::site {
namespace {

struct Family {
  const char* name;
  const char* help;
};
constexpr Family kSelected{"sluice_site_nodes_selected", "Nodes that spec.nodeSelector selects."};
constexpr Family kMatched{"sluice_site_nodes_matched", "Selected nodes that match the class."};
constexpr Family kMismatched{"sluice_site_nodes_mismatched",
                             "Selected nodes that do not match the class."};
constexpr Family kWanted{"sluice_site_agents_wanted", "Agents that should run."};
constexpr Family kReady{"sluice_site_agents_ready", "Agents that are ready."};
constexpr Family kConfigured{"sluice_site_agents_configured",
                             "Agents that run the published configuration."};
constexpr Family kInfo{"sluice_site_info",
                       "1 for the stage a site has reached and the one it wants."};
constexpr Family kPastLife{"sluice_site_release_past_end_of_life",
                           "1 while a site runs a Release that reached its end of life."};
constexpr std::array kFamilies = {kSelected, kMatched,    kMismatched, kWanted,
                                  kReady,    kConfigured, kInfo,       kPastLife};

}  // namespace

void SiteMetrics::Set(const Inputs& in, const Observed& observed, base::WallTime now) {
  const std::lock_guard lock(mutex_);
  const auto set = [&](const Family& family, double value) {
    registry_.GetGauge(family.name, family.help, {{"site", in.name}}).Set(value);
  };
  const auto bad = static_cast<double>(in.mismatched.size());
  const auto all = static_cast<double>(in.selected);
  set(kSelected, all);
  // Without a class nothing can be said to match.
  set(kMismatched, in.site_class == nullptr ? all : bad);
  set(kMatched, in.site_class == nullptr ? 0 : all - bad);
  set(kWanted, observed.agents.wanted);
  set(kReady, observed.agents.ready);
  set(kConfigured, observed.fleet.in_step);
  set(kPastLife, IsPast(in.release.end_of_life, now) ? 1 : 0);
  registry_.RemoveSeries(kInfo.name, "site", in.name);
  registry_
      .GetGauge(kInfo.name, kInfo.help,
                {{"site", in.name},
                 {"stage", in.site->status().stage()},
                 {"wants", in.site->spec().stage()}})
      .Set(1);
}

void SiteMetrics::Remove(const std::string& site) {
  const std::lock_guard lock(mutex_);
  for (const Family& family : kFamilies) registry_.RemoveSeries(family.name, "site", site);
}

}  // namespace sluice::site
