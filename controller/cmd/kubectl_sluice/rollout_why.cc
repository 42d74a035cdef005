#include "controller/cmd/kubectl_sluice/rollout_why.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "api/types/json_codec.h"
#include "api/v1alpha1/common.pb.h"
#include "api/v1alpha1/promotion.pb.h"
#include "api/v1alpha1/rollout.pb.h"
#include "controller/base/time_format.h"
#include "controller/cmd/kubectl_sluice/stale.h"
#include "reconcilers/common/decode.h"

namespace sluice::kubectl {
namespace {

using Json = nlohmann::ordered_json;

std::string Progress(const v1alpha1::RolloutSite& site) {
  if (site.state() == "Left") return "gone, or moved on by something else";
  std::string out = fmt::format("{} of {} nodes may have it, {} do, {} ready", site.target_nodes(),
                                site.nodes(), site.updated_nodes(), site.ready_nodes());
  if (site.failed_nodes() > 0) out += fmt::format(", {} FAIL", site.failed_nodes());
  if (!site.soaking_since().empty() && site.completed_at().empty()) {
    out += ", soaking since " + site.soaking_since();
  }
  return out;
}

std::string Waves(const v1alpha1::Rollout& rollout) {
  std::string out;
  for (const v1alpha1::RolloutWave& wave : rollout.spec().waves()) {
    std::string state = "has not started";
    for (const v1alpha1::RolloutWaveStatus& each : rollout.status().waves()) {
      if (each.name() == wave.name()) state = each.state();
    }
    out += fmt::format("  wave  {}  {}\n", wave.name(), state);
    for (const v1alpha1::RolloutSite& site : rollout.status().sites()) {
      if (site.wave() != wave.name()) continue;
      out += fmt::format("        {}  {}  {}\n", site.name(), site.state(), Progress(site));
    }
  }
  return out;
}

std::string Held(const v1alpha1::RolloutStatus& status, base::WallTime now) {
  std::string out;
  for (const v1alpha1::Blocker& blocker : status.blocked_by()) {
    out += fmt::format("  HOLD  {}  {}  {}", blocker.gate(), blocker.cause(), blocker.message());
    const std::string tail = Unblocking(blocker.unblocked_by(), blocker.since(), now);
    out += (tail.empty() ? "" : "  " + tail) + "\n";
  }
  for (const v1alpha1::Condition& condition : status.conditions()) {
    if (condition.type() != "ActionTaken") continue;
    out += fmt::format("  note  action  {}  {}\n", condition.reason(), condition.message());
  }
  for (const v1alpha1::GateStatus& gate : status.gates()) {
    if (gate.verdict() != "Pass") continue;
    out += fmt::format("  pass  {}  {}  {}\n", gate.name(), gate.cause(), gate.message());
  }
  return out;
}

}  // namespace

base::StatusOr<RolloutAnswer> WhyRollout(const meta::Object& object, const Style& style,
                                         base::WallTime now) {
  SLUICE_ASSIGN_OR_RETURN(const auto rollout, common::Decode<v1alpha1::Rollout>(object));
  const v1alpha1::RolloutStatus& status = rollout->status();
  const v1alpha1::RolloutSpec& spec = rollout->spec();
  std::string text =
      fmt::format("{}  brings {}, action {}, ", object.name(), spec.release_ref().name(),
                  spec.action().empty() ? "Run" : spec.action());
  if (!status.outcome().empty()) {
    text += fmt::format("ended: {} ({})", status.outcome(), Ago(status.completed_at(), now));
  } else if (status.direction() == "Reverting") {
    text += "goes back, at wave " + status.wave();
  } else {
    text += status.wave().empty() ? "is at no wave yet" : "is at wave " + status.wave();
  }
  text += fmt::format(" (requested by {})\n", spec.requested_by());
  const std::string stale = StaleOf(object);
  if (!stale.empty()) text += "  " + stale + "\n";
  text += Held(status, now) + Waves(*rollout);
  if (style.evidence) {
    for (const v1alpha1::GateStatus& gate : status.gates()) {
      text += fmt::format("        {}  hash {}\n", gate.name(), gate.evidence_hash());
    }
    if (!status.plan_hash().empty()) text += "        plan " + status.plan_hash() + "\n";
  }
  const nlohmann::json kept = types::ToJson(status);
  Json out = {{"rollout", object.name()}, {"release", spec.release_ref().name()}};
  if (!stale.empty()) out["stale"] = stale;
  out["action"] = spec.action().empty() ? "Run" : spec.action();
  out["requestedBy"] = spec.requested_by();
  for (const char* key : {"direction", "wave", "outcome", "planHash"}) {
    if (kept.contains(key)) out[key] = kept[key];
  }
  for (const char* key : {"blockedBy", "gates", "waves", "sites", "conditions"}) {
    out[key] = kept.value(key, nlohmann::json::array());
  }
  return RolloutAnswer{std::move(text), out.dump(2) + "\n"};
}

base::StatusOr<Advance> CanRollOn(const meta::Object& object) {
  SLUICE_ASSIGN_OR_RETURN(const auto rollout, common::Decode<v1alpha1::Rollout>(object));
  const v1alpha1::RolloutStatus& status = rollout->status();
  std::string why;
  if (!status.outcome().empty()) {
    why = "it ended: " + status.outcome();
  } else if (std::string stale = StaleOf(object); !stale.empty()) {
    why = std::move(stale);
  } else if (status.blocked_by_size() > 0) {
    why = fmt::format("{} held", status.wave().empty() ? "it is" : "wave " + status.wave() + " is");
  }
  Advance out;
  out.yes = why.empty();
  const bool back = status.direction() == "Reverting";
  out.text = out.yes ? fmt::format("yes: {} goes {} with {}, at wave {}\n", object.name(),
                                   back ? "back" : "on", rollout->spec().release_ref().name(),
                                   status.wave())
                     : fmt::format("no: {} takes no step: {}\n", object.name(), why);
  Json holds = Json::array();
  for (const v1alpha1::Blocker& blocker : status.blocked_by()) {
    out.text += fmt::format("  {}  {}  {}  {}\n", blocker.gate(), blocker.cause(),
                            blocker.message(), Unblocking(blocker.unblocked_by(), {}, {}));
    holds.push_back({{"gate", blocker.gate()},
                     {"cause", blocker.cause()},
                     {"message", blocker.message()},
                     {"since", blocker.since()},
                     {"unblockedBy", blocker.unblocked_by()}});
  }
  const Json json = {{"rollout", object.name()},
                     {"release", rollout->spec().release_ref().name()},
                     {"advances", out.yes},
                     {"direction", status.direction()},
                     {"wave", status.wave()},
                     {"holds", holds},
                     {"note", why}};
  out.json = json.dump(2) + "\n";
  return out;
}

base::StatusOr<std::string> RolloutDecision(const meta::Object& object, const std::string& user,
                                            base::Duration open_for, base::WallTime now) {
  SLUICE_ASSIGN_OR_RETURN(const auto rollout, common::Decode<v1alpha1::Rollout>(object));
  if (!rollout->status().outcome().empty()) {
    return base::FailedPrecondition(
        fmt::format("rollout {} has ended: {}", object.name(), rollout->status().outcome()));
  }
  if (rollout->status().plan_hash().empty()) {
    return base::FailedPrecondition(
        fmt::format("rollout {} has no plan hash yet; is a controller running?", object.name()));
  }
  const auto end = now + std::chrono::duration_cast<base::WallTime::duration>(open_for);
  const Json out = {
      {"apiVersion", "sluice.dev/v1alpha1"},
      {"kind", "Decision"},
      {"metadata", {{"generateName", std::string(object.name()) + "-"}}},
      {"spec",
       {{"question", fmt::format("May {} go to the sites of Rollout {}?",
                                 rollout->spec().release_ref().name(), object.name())},
        {"subject",
         {{"kind", "Rollout"},
          {"name", object.name()},
          {"uid", object.uid()},
          {"generation", 1},
          {"planHash", rollout->status().plan_hash()}}},
        {"requestedBy", user},
        {"expiresAt", base::FormatRfc3339(end)}}}};
  return out.dump(2) + "\n";
}

}  // namespace sluice::kubectl
