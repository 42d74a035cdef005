// Why a wave may not start, whatever its gates say.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "reconcilers/rollout/planner.h"

namespace sluice::rollout {

bool Planner::CheckRelease() {
  if (!o_.release.ok()) {
    Holds("release", Cause::kMisconfigured, o_.release.status().message(),
          "whoever keeps the Releases");
    return false;
  }
  if (o_.release->end_of_life && o_.now >= *o_.release->end_of_life) {
    Holds("release", Cause::kEndOfLife,
          fmt::format("spec.releaseRef: Release {} reached its end of life at {}; roll out one "
                      "that is supported",
                      spec_.release_ref().name(), base::FormatRfc3339(*o_.release->end_of_life)),
          kRollers);
    return false;
  }
  return true;
}

void Planner::CheckSite(const SiteView& site) {
  const std::string gate = site.name + "/site";
  if (site.in_other_cluster) {
    Holds(
        gate, Cause::kMisconfigured,
        fmt::format("site {} is in another cluster, and Rollouts move the sites of this one only; "
                    "leave it out, and set its spec.release.image",
                    site.name),
        kRollers);
  } else if (site.rollout_open) {
    Holds(gate, Cause::kPending,
          fmt::format("site {} is being moved by Rollout {}, which has not ended", site.name,
                      site.rollout),
          "the end of Rollout " + site.rollout);
  } else if (!site.current) {
    Holds(gate, Cause::kPending,
          fmt::format("site {}: its status does not speak of its present spec yet", site.name),
          "the site's controller");
  } else {
    CheckUpgrade(site, site.version, site.image);
    if (site.left_behind) CheckUpgrade(site, site.left_behind->version, site.left_behind->image);
  }
}

bool Planner::IsNamed(const std::string& version) const {
  const std::vector<std::string>& from = o_.release->upgrade_from;
  return from.empty() || std::find(from.begin(), from.end(), version) != from.end();
}

bool Planner::MayUpgrade(const SiteView& site) const {
  return IsNamed(site.version) && (!site.left_behind || IsNamed(site.left_behind->version));
}

void Planner::CheckUpgrade(const SiteView& site, const std::string& version,
                           const std::string& image) {
  if (IsNamed(version)) return;
  const std::string release = spec_.release_ref().name();
  const std::string runs =
      version.empty()
          ? fmt::format("site {} runs {}, which is no Release's image", site.name, image)
          : fmt::format("site {} runs {}", site.name, version);
  const std::string cure =
      version.empty() ? "make the Release that image is of" : "roll out one of those first";
  Holds(site.name + "/upgrade", Cause::kMisconfigured,
        fmt::format("spec.upgradeFrom of Release {} names {}; {}: {}", release,
                    fmt::join(o_.release->upgrade_from, ", "), runs, cure),
        kRollers);
}

std::vector<std::string> Planner::Fresh(const std::vector<std::string>& sites) const {
  std::vector<std::string> out;
  for (const std::string& name : sites) {
    const SiteView& site = o_.sites.at(name);
    if (site.release.empty() && site.version.empty()) out.push_back(name);
  }
  return out;
}

std::vector<std::string> Planner::Running(const std::vector<std::string>& besides) const {
  std::vector<std::string> out;
  for (const auto& [name, site] : o_.sites) {
    const bool runs = !site.release.empty() || !site.version.empty();
    if (!runs || site.in_other_cluster || out.size() == kMaxSites) continue;
    if (std::find(besides.begin(), besides.end(), name) == besides.end()) out.push_back(name);
  }
  return out;
}

void Planner::CheckExpansion(int index, const std::vector<std::string>& sites) {
  const RolloutWave& wave = spec_.waves(index);
  const std::vector<std::string> fresh = Fresh(sites);
  if (fresh.empty()) return;
  if (index == 0 && Running(sites).empty()) {
    if (fresh.size() == 1) return;
    Holds(
        "expansion", Cause::kMisconfigured,
        fmt::format("waves[{}].sites: the first Release of all goes to one site first, not to {}; "
                    "name the others in a later wave that has a gate of kind slo and one of kind "
                    "approval",
                    wave.name(), fmt::join(fresh, ", ")),
        kRollers);
    return;
  }
  std::vector<std::string> missing;
  const auto has = [&](auto kind) {
    return std::any_of(wave.gates().begin(), wave.gates().end(), kind);
  };
  if (!has([](const auto& gate) { return gate.has_slo(); })) missing.push_back("slo");
  if (!has([](const auto& gate) { return gate.has_approval(); })) missing.push_back("approval");
  if (missing.empty()) return;
  Holds("expansion", Cause::kMisconfigured,
        fmt::format("waves[{}].gates: the wave adds the sites {}, which run no Release yet: the "
                    "Go/No-Go of an expansion needs a gate of kind {}; make another Rollout",
                    wave.name(), fmt::join(fresh, ", "), fmt::join(missing, " and one of kind ")),
        kRollers);
}

bool Planner::FitsStatus(const Question& question) {
  int gates = spec_.revert_gates_size();
  for (const RolloutWave& wave : spec_.waves()) {
    if (!question.revert && wave.name() == question.wave) gates = wave.gates_size();
  }
  // Each site that moves is asked for its freeze, too.
  const int answers =
      gates * static_cast<int>(question.judged.size()) + static_cast<int>(question.moved.size());
  if (answers <= kMaxGates) return true;
  Holds("gates", Cause::kMisconfigured,
        fmt::format("{}: {} gates of {} sites are more than the {} answers a Rollout keeps; {}",
                    question.revert ? "revertGates" : "waves[" + question.wave + "].gates", gates,
                    question.judged.size(), kMaxGates,
                    question.revert ? "shorten the list" : "make a Rollout with fewer"),
        kRollers);
  return false;
}

}  // namespace sluice::rollout
