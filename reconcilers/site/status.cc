#include "reconcilers/site/status.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "api/types/conditions.h"
#include "api/types/json_codec.h"
#include "api/types/kinds.h"
#include "api/types/text.h"
#include "api/v1alpha1/common.pb.h"
#include "api/v1alpha1/site.pb.h"
#include "controller/base/time_format.h"
#include "reconcilers/site/objects.h"
#include "reconcilers/site/tls.h"

namespace sluice::site {
namespace {

constexpr int kMaxMismatches = 16;
constexpr std::string_view kDeleting = "Deleting";
constexpr std::string_view kReleaseSupported = "ReleaseSupported";  // of a Site on a Release
constexpr std::string_view kClusterServed = "ClusterServed";        // of Sites elsewhere only
constexpr std::string_view kTlsServed = "TlsServed";                // of Sites with spec.s3.tls
constexpr std::string_view kAgentsHealthy = "AgentsHealthy";        // told, not part of Ready

bool IsOurs(std::string_view condition) {
  for (const std::string_view ours :
       {types::kReady, kDeleting, kClusterServed, std::string_view("ClassResolved"),
        std::string_view("NodesMatched"), std::string_view("CredentialsResolved"),
        std::string_view("AgentsReady"), std::string_view("Configured"), kReleaseSupported,
        kTlsServed, kAgentsHealthy}) {
    if (condition == ours) return true;
  }
  return false;
}

// A condition. One with a cure is a part of Ready, and a blocker while it is not True.
struct Part {
  std::string_view type;
  std::string_view status;
  std::string reason;
  std::string message;
  std::string unblocked_by;
};

Part ClassPart(const Inputs& in) {
  if (in.class_status.ok()) return {"ClassResolved", types::kTrue, "Resolved", "", ""};
  return {"ClassResolved", types::kFalse,
          in.class_status.code() == base::Code::kNotFound ? "ClassMissing" : "ClassInvalid",
          in.class_status.message(), "whoever applies the SiteClass"};
}

// Of a Site in another cluster.
Part ClusterPart(const Inputs& in) {
  if (in.cluster_status.ok()) return {kClusterServed, types::kTrue, "Reachable", "", ""};
  const std::string& reason = in.cluster_status.reason();
  return {kClusterServed, types::kFalse, reason.empty() ? "Unreachable" : reason,
          in.cluster_status.message() + "; what runs there goes on",
          reason == "EndpointMissing" ? "whoever applies the Site"
                                      : "whoever keeps the cluster or its kubeconfig's Secret"};
}

Part NodesPart(const Inputs& in) {
  if (in.selected == 0) {
    return {"NodesMatched", types::kFalse, "NoNodes",
            "no node carries the labels of spec.nodeSelector", "whoever labels the nodes"};
  }
  if (in.mismatched.empty()) {
    return {"NodesMatched", types::kTrue, "Matched",
            fmt::format("{} nodes are what the class says", in.selected), ""};
  }
  const Inputs::Mismatched& first = in.mismatched.front();
  return {"NodesMatched", types::kFalse, "HardwareMismatch",
          fmt::format("{} of {} nodes are not what the class says; {}: {}", in.mismatched.size(),
                      in.selected, first.node, first.lacks),
          "whoever equips or labels the nodes"};
}

Part CredentialsPart(const Inputs& in, const Derived& derived) {
  for (const auto& [origin, secrets] : in.origin_secrets) {
    if (!secrets.ok()) {
      return {"CredentialsResolved", types::kFalse, "OriginCredentials",
              fmt::format("origin {}: {}", origin, secrets.status().message()),
              "whoever keeps the Secret"};
    }
  }
  for (const auto& [tenant, why] : derived.left_out) {
    return {"CredentialsResolved", types::kFalse, "TenantCredentials",
            fmt::format("tenant {}: {}", tenant, why.message()), "whoever keeps the Secret"};
  }
  return {"CredentialsResolved", types::kTrue, "Resolved", "", ""};
}

Part AgentsPart(const Inputs& in, const Observed& observed) {
  if (observed.apply_error.reason() == "NamespaceTaken") {
    return {"AgentsReady", types::kFalse, "NamespaceTaken", observed.apply_error.message(),
            "whoever made the namespace"};
  }
  if (!observed.apply_error.ok()) {
    return {"AgentsReady", types::kFalse, "ApplyFailed", observed.apply_error.ToString(),
            "whoever changes what the message names; it is tried again"};
  }
  if (!in.partition.problem.empty()) {
    return {"AgentsReady", types::kFalse, "RolloutMissing",
            in.partition.problem + ": agents stay as they are. Make a Rollout for this Site",
            "whoever rolls out releases"};
  }
  const DaemonSetCounts& agents = observed.agents;
  std::string message = fmt::format("{} of {} agents are ready, {} run the wanted image",
                                    agents.ready, agents.wanted, agents.updated);
  // Under a Rollout no more are wanted than it allows.
  const int updates =
      in.partition.active ? std::min(in.partition.target, agents.wanted) : agents.wanted;
  if (in.partition.active) {
    message += fmt::format(" and {} may by Rollout {}", updates, in.partition.rollout);
  }
  if (agents.found && agents.wanted > 0 && agents.ready >= agents.wanted &&
      agents.updated >= updates) {
    return {"AgentsReady", types::kTrue, "Ready", message, ""};
  }
  return {"AgentsReady", types::kFalse,
          agents.found && agents.ready >= agents.wanted && agents.wanted > 0 ? "RollingOut"
                                                                             : "AgentsNotReady",
          message, "the agents' pods"};
}

Part ReleasePart(const ReleaseLife& release, base::WallTime now) {
  constexpr const char* kCure = "whoever rolls out releases: a Rollout to a supported one";
  if (!release.found) {
    return {kReleaseSupported, types::kUnknown, "ReleaseMissing",
            fmt::format("spec.release.releaseRef: there is no Release {}: nobody can tell until "
                        "when it may run",
                        release.name),
            "whoever keeps the Releases"};
  }
  if (IsPast(release.end_of_life, now)) {
    return {kReleaseSupported, types::kFalse, "EndOfLife",
            fmt::format("Release {} reached its end of life at {}: the site climbs no stage until "
                        "a Rollout moves it on",
                        release.name, base::FormatRfc3339(*release.end_of_life)),
            kCure};
  }
  if (IsPast(release.supported_until, now)) {
    return {kReleaseSupported, types::kTrue, "SupportEnded",
            fmt::format("support of Release {} ended at {}", release.name,
                        base::FormatRfc3339(*release.supported_until)),
            ""};
  }
  return {kReleaseSupported, types::kTrue, "Supported",
          fmt::format("Release {} is supported", release.name), ""};
}

Part ConfiguredPart(const Derived& derived, const Observed& observed) {
  if (!derived.status.ok()) {
    const bool held = derived.status.reason() == "Held";
    return {"Configured", types::kFalse, held ? "Held" : "NotDerived", derived.status.message(),
            held ? "whoever keeps the Secret"
                 : "whoever changes what the message names; agents keep what they run"};
  }
  if (observed.fleet.nacked > 0) {
    return {"Configured", types::kFalse, "Refused", observed.fleet.example_nack,
            "a configuration the agents take; they keep what they run"};
  }
  const std::string message =
      fmt::format("{} of {} agents run configuration {}", observed.fleet.in_step,
                  observed.agents.wanted, observed.version.substr(0, 12));
  if (observed.agents.wanted > 0 && observed.fleet.in_step >= observed.agents.wanted) {
    return {"Configured", types::kTrue, "InStep", message, ""};
  }
  return {"Configured", types::kFalse, "Behind", message, "the agents' streams"};
}

// Of a Site that asks for TLS: as its agents see the Secret.
Part TlsPart(const Inputs& in, const Observed& observed) {
  using State = agents::CertificateState;
  const agents::SiteSummary& fleet = observed.fleet;
  const std::string secret = fmt::format("Secret {}/{}", NamespaceOf(in.name), TlsSecret(*in.site));
  constexpr const char* kCure = "whoever keeps the Secret, or what renews it";
  switch (fleet.certificates) {
    case State::kMissing:
      return {kTlsServed, types::kFalse, "SecretMissing",
              fmt::format("{} is not there, or lacks {} or {}: {}", secret, kTlsCertificate,
                          kTlsKey, fleet.example_certificate),
              kCure};
    case State::kUnusable:
      return {kTlsServed, types::kFalse, "CertificateUnusable",
              fmt::format("{}: {}", secret, fleet.example_certificate), kCure};
    case State::kEnded:
      return {kTlsServed, types::kFalse, "CertificateEnded",
              fmt::format("{}: {}", secret, fleet.example_certificate), kCure};
    default:
      break;
  }
  const std::string message =
      fmt::format("{} of {} agents show the certificate of {} on port {}", fleet.tls_shown,
                  observed.agents.wanted, secret, TlsPort(*in.site));
  if (observed.agents.wanted > 0 && fleet.tls_shown >= observed.agents.wanted)
    return {kTlsServed, types::kTrue, "Served", message, ""};
  return {kTlsServed, types::kFalse, "AgentsBehind", message, "the agents' pods and streams"};
}

// What agents say of themselves. They serve, if less well, so it holds nothing back.
Part HealthPart(const Observed& observed) {
  const agents::SiteSummary& fleet = observed.fleet;
  if (fleet.degraded == 0 && fleet.connected < observed.agents.wanted) {
    return {kAgentsHealthy, types::kUnknown, "NotHeard",
            fmt::format("{} of {} agents say how they are, and nothing is wrong with these",
                        fleet.connected, observed.agents.wanted),
            ""};
  }
  if (fleet.degraded == 0) {
    return {kAgentsHealthy, types::kTrue, "Healthy", "no agent says that anything is wrong", ""};
  }
  return {kAgentsHealthy, types::kFalse, "Degraded",
          fmt::format("{} of {} agents serve, but not as they should; {}", fleet.degraded,
                      fleet.connected, fleet.example_problem),
          ""};
}

void FillNodes(const Inputs& in, v1alpha1::NodeCounts& nodes) {
  for (const Inputs::Mismatched& each : in.mismatched) {
    if (nodes.mismatches_size() == kMaxMismatches) break;
    v1alpha1::NodeMismatch& mismatch = *nodes.add_mismatches();
    mismatch.set_node(each.node);
    mismatch.set_message(std::string(types::Cut(each.lacks, 512)));
  }
  const int bad = static_cast<int>(in.mismatched.size());
  nodes.set_selected(in.selected);
  nodes.set_matched(in.selected - bad);
  nodes.set_mismatched(bad);
}

void FillAgents(const Observed& observed, v1alpha1::AgentCounts& agents) {
  agents.set_wanted(observed.agents.wanted);
  agents.set_ready(observed.agents.ready);
  agents.set_updated(observed.agents.updated);
  agents.set_configured(observed.fleet.in_step);
  agents.set_refused(observed.fleet.nacked);
  agents.set_refusal(std::string(types::Cut(observed.fleet.example_nack, 512)));
  if (!observed.moved) return;
  agents.set_image(observed.moved->image);
  agents.set_updated_ready(observed.moved->updated_ready);
  agents.set_failed(observed.moved->failed);
  agents.set_failure(std::string(types::Cut(observed.moved->failure, 512)));
}

// `since` of a blocker is that of its condition.
void FillConditions(const std::vector<Part>& parts, const Inputs& in, base::WallTime now,
                    v1alpha1::SiteStatus& status) {
  const std::int64_t generation = in.object->generation();
  *status.mutable_conditions() = in.site->status().conditions();
  std::string_view ready_reason = "Ready";
  std::string ready_message = "agents run, are configured, and nodes match their class";
  bool ready = true;
  for (const Part& part : parts) {
    types::SetCondition(status.mutable_conditions(),
                        {part.type, part.status, part.reason, part.message, generation}, now);
    if (part.status == types::kTrue || part.unblocked_by.empty()) continue;
    if (ready) {
      ready = false;
      ready_reason = part.reason;
      ready_message = part.message;
    }
    v1alpha1::Blocker& blocker = *status.add_blocked_by();
    // By the condition's type, as the API says: gates of a plan may be called anything else.
    blocker.set_gate(std::string(part.type));
    blocker.set_cause(part.reason);
    blocker.set_message(std::string(types::Cut(part.message, 1024)));
    blocker.set_since(types::FindCondition(status.conditions(), part.type)->last_transition_time());
    blocker.set_unblocked_by(part.unblocked_by);
  }
  auto* conditions = status.mutable_conditions();
  types::SetCondition(conditions,
                      {types::kReady, ready ? types::kTrue : types::kFalse, ready_reason,
                       ready_message, generation},
                      now);
  // Conditions of other writers (the promotion's) are theirs to apply; ours that say nothing any
  // more go.
  for (int i = conditions->size() - 1; i >= 0; --i) {
    const std::string& type = conditions->Get(i).type();
    const bool said =
        type == types::kReady || std::any_of(parts.begin(), parts.end(),
                                             [&](const Part& part) { return part.type == type; });
    if (!said) conditions->DeleteSubrange(i, 1);
  }
}

}  // namespace

DaemonSetCounts CountsOf(const nlohmann::json& daemon_set) {
  DaemonSetCounts counts;
  const auto metadata = daemon_set.find("metadata");
  if (metadata == daemon_set.end()) return counts;
  counts.found = true;
  const auto status = daemon_set.find("status");
  if (status == daemon_set.end()) return counts;
  // Counts of an older generation say nothing of the image wanted now.
  const bool current = status->value("observedGeneration", std::int64_t{0}) >=
                       metadata->value("generation", std::int64_t{0});
  counts.wanted = status->value("desiredNumberScheduled", 0);
  counts.ready = status->value("numberReady", 0);
  counts.updated = current ? status->value("updatedNumberScheduled", 0) : 0;
  return counts;
}

nlohmann::json BuildStatus(const Inputs& in, const Derived& derived, const Observed& observed,
                           base::WallTime now) {
  v1alpha1::SiteStatus status;
  status.set_observed_generation(in.object->generation());
  FillNodes(in, *status.mutable_nodes());
  FillAgents(observed, *status.mutable_agents());
  if (!observed.version.empty()) {
    v1alpha1::ConfigStatus& config = *status.mutable_config();
    const v1alpha1::ConfigStatus& before = in.site->status().config();
    config.set_version(observed.version.substr(0, 64));
    config.set_revision(observed.order.revision);
    config.set_since(before.version() == config.version() ? before.since()
                                                          : base::FormatRfc3339(now));
  }
  std::vector<Part> parts = {ClassPart(in),
                             NodesPart(in),
                             CredentialsPart(in, derived),
                             AgentsPart(in, observed),
                             ConfiguredPart(derived, observed),
                             HealthPart(observed)};
  if (!in.release.name.empty()) parts.push_back(ReleasePart(in.release, now));
  if (TlsPort(*in.site) != 0) parts.push_back(TlsPart(in, observed));
  // Alone while nothing is known of that cluster.
  if (in.elsewhere && !in.nodes_known) parts.clear();
  if (in.elsewhere) parts.insert(parts.begin(), ClusterPart(in));
  FillConditions(parts, in, now, status);
  return types::ToJson(status);
}

nlohmann::json BuildDeletingStatus(const v1alpha1::Site& site, std::int64_t generation,
                                   const Pending& pending, base::WallTime now) {
  v1alpha1::SiteStatus status = site.status();
  // Of other writers.
  status.clear_stage();
  status.clear_stage_reached_at();
  status.clear_promotion();
  status.clear_blocked_by();
  auto* conditions = status.mutable_conditions();
  for (int i = conditions->size() - 1; i >= 0; --i) {
    if (!IsOurs(conditions->Get(i).type())) conditions->DeleteSubrange(i, 1);
  }
  status.set_observed_generation(generation);
  types::SetCondition(conditions,
                      {kDeleting, types::kTrue, pending.reason, pending.message, generation}, now);
  types::SetCondition(conditions,
                      {types::kReady, types::kFalse, "Deleting", pending.message, generation}, now);
  return types::ToJson(status);
}

}  // namespace sluice::site
