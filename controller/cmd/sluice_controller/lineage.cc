#include "controller/cmd/sluice_controller/lineage.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "controller/base/time_format.h"
#include "controller/cmd/sluice_controller/epoch_store.h"
#include "reconcilers/agents/epoch.h"
#include "reconcilers/agents/limits.h"

namespace sluice::controller_main {
namespace {

using agents::EpochRecord;
using base::StatusOr;
using nlohmann::json;

// Who asks, as the API server knows them.
StatusOr<std::string> Asker(client::Client& client) {
  const json review = {{"apiVersion", "authentication.k8s.io/v1"}, {"kind", "SelfSubjectReview"}};
  SLUICE_ASSIGN_OR_RETURN(
      const std::string answer,
      client.Raw("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", review.dump()));
  const json parsed = json::parse(answer, nullptr, false);
  const json::json_pointer name("/status/userInfo/username");
  if (!parsed.is_object() || !parsed.contains(name) || !parsed[name].is_string()) {
    return base::DataLoss("the API server's answer is not a SelfSubjectReview");
  }
  return parsed[name].get<std::string>();
}

StatusOr<EpochRecord> NextRecord(const std::optional<EpochRecord>& current,
                                 const std::string& cluster_uid, const std::string& asker,
                                 const LineageRequest& request) {
  EpochRecord from = current.value_or(EpochRecord{.lineage = cluster_uid});
  std::vector<std::string> more = request.supersedes;
  more.push_back(cluster_uid);  // of agents from before the first restore, or before a deletion
  for (const std::string& lineage : more) {
    if (lineage == from.lineage || std::ranges::count(from.supersedes, lineage) > 0) continue;
    from.supersedes.push_back(lineage);
  }
  if (from.supersedes.size() >= agents::kMaxSuperseded) {
    return base::InvalidArgument(fmt::format("{} lineages would be superseded; at most {} can be",
                                             from.supersedes.size() + 1, agents::kMaxSuperseded));
  }
  return agents::StartLineage(from, request.lineage, asker);
}

std::string Said(const EpochRecord& record, bool there_was_one, const std::string& ns) {
  return fmt::format(
      "lineage {} started at epoch {}; agents of {} may follow it\n"
      "before: {}\n"
      "recorded in ConfigMap {}/{}: {}\n"
      "A controller that runs is started again by itself; then see that each Site's condition "
      "Configured says InStep:\n  kubectl sluice status\n",
      record.lineage, record.epoch, fmt::join(record.supersedes, ", "),
      there_was_one ? "lineage " + record.supersedes.back() : "there was no record", ns, kEpochName,
      record.lineage_started);
}

}  // namespace

StatusOr<std::string> StartLineage(client::Client& client, base::Clock& clock,
                                   const std::string& ns, const LineageRequest& request) {
  SLUICE_ASSIGN_OR_RETURN(const std::string asker, Asker(client));
  const meta::Resource namespaces{"", "v1", "Namespace", "namespaces", false};
  const auto system = client.Get(namespaces, {"", "kube-system"});
  if (!system.ok()) return system.status().Annotate("the cluster's identity");
  ConfigMapEpochStore store(client, client, ns);
  for (int attempt = 0; attempt < agents::kMaxCompareAndSwapTries; ++attempt) {
    SLUICE_ASSIGN_OR_RETURN(const auto current, store.Read());
    std::optional<EpochRecord> before;
    if (current) before = current->record;
    SLUICE_ASSIGN_OR_RETURN(EpochRecord next,
                            NextRecord(before, std::string((*system)->uid()), asker, request));
    next.lineage_started =
        fmt::format("{} by {}: {}", base::FormatRfc3339(clock.Wall()), asker, request.reason);
    const auto written = store.Write(next, current ? current->resource_version : "");
    if (written.ok()) return Said(written->record, before.has_value(), ns);
    const auto code = written.status().code();
    if (code != base::Code::kAborted && code != base::Code::kAlreadyExists) return written.status();
  }
  return base::Aborted("the record changed under every try; try again").WithReason("Conflict");
}

}  // namespace sluice::controller_main
