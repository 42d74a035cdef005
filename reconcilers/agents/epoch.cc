#include "reconcilers/agents/epoch.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <string_view>
#include <tuple>

#include "reconcilers/agents/limits.h"

namespace sluice::agents {
namespace {

using base::Status;
using base::StatusOr;

constexpr std::string_view kSitePrefix = "site.";

Status CheckLeads(const EpochRecord& current, std::int64_t epoch) {
  if (current.epoch == epoch) return base::OkStatus();
  return base::Aborted(
             fmt::format("epoch {} was raised to {} by {}", epoch, current.epoch, current.holder))
      .WithReason("Fenced");
}

StatusOr<std::int64_t> ParseCount(std::string_view key, std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0) {
    return base::DataLoss(fmt::format("{}: \"{}\" is not a count", key, text.substr(0, 64)));
  }
  return value;
}

StatusOr<PublishedSite> ParseSite(std::string_view key, std::string_view text) {
  const auto first = text.find('/');
  const auto second = first == std::string_view::npos ? first : text.find('/', first + 1);
  if (second == std::string_view::npos || second + 1 == text.size()) {
    return base::DataLoss(fmt::format("{}: not EPOCH/REVISION/DIGEST", key));
  }
  PublishedSite site;
  SLUICE_ASSIGN_OR_RETURN(site.epoch, ParseCount(key, text.substr(0, first)));
  SLUICE_ASSIGN_OR_RETURN(site.revision,
                          ParseCount(key, text.substr(first + 1, second - first - 1)));
  site.digest = text.substr(second + 1);
  return site;
}

std::vector<std::string> Split(std::string_view text) {
  std::vector<std::string> out;
  while (!text.empty()) {
    const auto comma = text.find(',');
    out.emplace_back(text.substr(0, comma));
    if (comma == std::string_view::npos) break;
    text.remove_prefix(comma + 1);
  }
  return out;
}

}  // namespace

EpochRecord TakeOver(const std::optional<EpochRecord>& current, const std::string& cluster_uid,
                     const std::string& holder) {
  EpochRecord next = current.value_or(EpochRecord{.lineage = cluster_uid});
  ++next.epoch;
  next.holder = holder;
  return next;
}

StatusOr<EpochRecord> Publish(const EpochRecord& current, std::int64_t epoch,
                              const std::string& site, const std::string& digest) {
  SLUICE_RETURN_IF_ERROR(CheckLeads(current, epoch));
  const auto found = current.sites.find(site);
  if (found != current.sites.end() && found->second.digest == digest) return current;
  if (found == current.sites.end() && current.sites.size() >= kMaxSites) {
    return base::ResourceExhausted(fmt::format("{} sites are published already", kMaxSites));
  }
  EpochRecord next = current;
  ++next.revision;
  next.sites[site] = {epoch, next.revision, digest};
  return next;
}

StatusOr<EpochRecord> Retire(const EpochRecord& current, std::int64_t epoch,
                             const std::string& site) {
  SLUICE_RETURN_IF_ERROR(CheckLeads(current, epoch));
  EpochRecord next = current;
  if (next.sites.erase(site) > 0) ++next.revision;
  return next;
}

StatusOr<EpochRecord> StartLineage(const EpochRecord& current, const std::string& lineage,
                                   const std::string& holder) {
  if (lineage.empty() || lineage.find(',') != std::string::npos || lineage == current.lineage ||
      std::ranges::count(current.supersedes, lineage) > 0) {
    return base::InvalidArgument(
        fmt::format("lineage \"{}\" is empty or was used before; choose a new one", lineage));
  }
  EpochRecord next = current;
  next.supersedes.push_back(current.lineage);
  if (next.supersedes.size() > kMaxSuperseded) next.supersedes.erase(next.supersedes.begin());
  next.lineage = lineage;
  next.holder = holder;
  ++next.epoch;  // whoever led before the restore leads no more
  ++next.revision;
  return next;
}

bool Follows(const EpochRecord& a, const EpochRecord& b) {
  if (a.lineage == b.lineage) {
    return std::tie(b.epoch, b.revision) >= std::tie(a.epoch, a.revision);
  }
  return a.lineage.empty() || std::ranges::count(b.supersedes, a.lineage) > 0;
}

bool Deposes(const EpochRecord& seen, const Lead& lead) {
  if (seen.lineage == lead.lineage) return seen.epoch > lead.epoch;
  return std::ranges::count(seen.supersedes, lead.lineage) > 0;
}

std::map<std::string, std::string> Encode(const EpochRecord& record) {
  std::map<std::string, std::string> data;
  data["lineage"] = record.lineage;
  data["supersedes"] = fmt::format("{}", fmt::join(record.supersedes, ","));
  data["epoch"] = std::to_string(record.epoch);
  data["revision"] = std::to_string(record.revision);
  data["holder"] = record.holder;
  if (!record.lineage_started.empty()) data["lineage-started"] = record.lineage_started;
  for (const auto& [name, site] : record.sites) {
    data[std::string(kSitePrefix) + name] =
        fmt::format("{}/{}/{}", site.epoch, site.revision, site.digest);
  }
  return data;
}

StatusOr<EpochRecord> Decode(const std::map<std::string, std::string>& data) {
  EpochRecord record;
  for (const char* key : {"lineage", "epoch", "revision"}) {
    if (!data.contains(key) || data.at(key).empty()) {
      return base::DataLoss(fmt::format("{}: missing", key));
    }
  }
  record.lineage = data.at("lineage");
  SLUICE_ASSIGN_OR_RETURN(record.epoch, ParseCount("epoch", data.at("epoch")));
  SLUICE_ASSIGN_OR_RETURN(record.revision, ParseCount("revision", data.at("revision")));
  if (data.contains("holder")) record.holder = data.at("holder");
  if (data.contains("lineage-started")) record.lineage_started = data.at("lineage-started");
  if (data.contains("supersedes")) record.supersedes = Split(data.at("supersedes"));
  for (const auto& [key, value] : data) {
    if (!key.starts_with(kSitePrefix)) continue;
    SLUICE_ASSIGN_OR_RETURN(auto site, ParseSite(key, value));
    if (site.epoch > record.epoch || site.revision > record.revision) {
      return base::DataLoss(fmt::format("{}: above the record's own epoch or revision", key));
    }
    record.sites.emplace(key.substr(kSitePrefix.size()), std::move(site));
  }
  return record;
}

}  // namespace sluice::agents
