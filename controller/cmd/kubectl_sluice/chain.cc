#include "controller/cmd/kubectl_sluice/chain.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "api/v1alpha1/promotion.pb.h"
#include "api/v1alpha1/site.pb.h"
#include "api/v1alpha1/stage_plan.pb.h"
#include "controller/cmd/kubectl_sluice/preview.h"
#include "controller/cmd/kubectl_sluice/stale.h"
#include "reconcilers/common/decode.h"

namespace sluice::kubectl {
namespace {

// The latest Promotion: the open one if there is one, else the one made last.
struct Latest {
  std::shared_ptr<const v1alpha1::Promotion> message;
  std::string name;
  std::string created;
};

std::string CreatedAt(const meta::Object& object) {
  return object.ToJson().value(nlohmann::json::json_pointer("/metadata/creationTimestamp"), "");
}

base::StatusOr<Latest> FindLatest(const Objects& objects) {
  Latest best;
  for (const meta::ObjectPtr& object : objects.promotions) {
    SLUICE_ASSIGN_OR_RETURN(auto message, common::Decode<v1alpha1::Promotion>(*object));
    if (message->spec().site_ref().uid() != objects.site->uid()) continue;  // of a former site
    const Latest each{message, std::string(object->name()), CreatedAt(*object)};
    const auto rank = [](const Latest& l) {
      return std::make_tuple(l.message->status().outcome().empty(), l.created, l.name);
    };
    if (best.message == nullptr || rank(best) < rank(each)) best = each;
  }
  return best;
}

Blocker BlockerOf(const v1alpha1::Blocker& from) {
  return {from.gate(), from.cause(), from.message(), from.since(), from.unblocked_by()};
}

GateLine LineOf(const v1alpha1::GateStatus& from) {
  GateLine line;
  line.name = from.name();
  line.verdict = from.verdict();
  line.cause = from.cause();
  line.causes.assign(from.causes().begin(), from.causes().end());
  line.message = from.message();
  line.value = from.value();
  line.threshold = from.threshold();
  line.since = from.since();
  line.valid_until = from.valid_until();
  line.evaluated_at = from.evaluated_at();
  line.evidence_hash = from.evidence_hash();
  for (const v1alpha1::GateEvidence& evidence : from.evidence()) {
    line.evidence.push_back({evidence.query(), evidence.window(), evidence.value(),
                             evidence.sample_time(), evidence.error()});
  }
  return line;
}

void FillGates(const v1alpha1::Promotion& promotion, Chain& chain) {
  // The status lists blockers by severity; gates that hold are shown in that order.
  std::map<std::string, std::pair<int, std::string>> held;
  for (int i = 0; i < promotion.status().blocked_by_size(); ++i) {
    const v1alpha1::Blocker& blocker = promotion.status().blocked_by(i);
    held[blocker.gate()] = {i, blocker.unblocked_by()};
  }
  for (const v1alpha1::GateStatus& gate : promotion.status().gates()) {
    chain.gates.push_back(LineOf(gate));
    const auto found = held.find(gate.name());
    if (found != held.end()) chain.gates.back().unblocked_by = found->second.second;
  }
  const auto rank = [&](const GateLine& gate) {
    const auto found = held.find(gate.name);
    return found == held.end() ? promotion.status().blocked_by_size() : found->second.first;
  };
  std::stable_sort(chain.gates.begin(), chain.gates.end(),
                   [&](const GateLine& a, const GateLine& b) { return rank(a) < rank(b); });
}

// Why nothing is being climbed.
std::string NoteOf(const Chain& chain, const v1alpha1::Site& site, const v1alpha1::StagePlan* plan,
                   const Latest& latest) {
  if (chain.stage == chain.wants)
    return fmt::format("{} is reached; nothing is asked for", chain.stage);
  for (const v1alpha1::Condition& condition : site.status().conditions()) {
    if (condition.type() == "StageReached" && condition.status() != "True" &&
        !condition.message().empty()) {
      return condition.message();
    }
  }
  if (latest.message != nullptr && latest.message->status().outcome() == "Aborted") {
    return fmt::format("promotion {} was aborted; change the Site or its plan to try again",
                       latest.name);
  }
  if (latest.message != nullptr && latest.message->status().outcome() == "Superseded") {
    return fmt::format("promotion {} was superseded; the next one was not made yet", latest.name);
  }
  if (plan == nullptr) return "the class or its StagePlan is missing";
  return "no promotion was made yet; is a controller running?";
}

}  // namespace

base::StatusOr<Chain> BuildChain(const Objects& objects, base::WallTime now) {
  SLUICE_ASSIGN_OR_RETURN(const auto site, common::Decode<v1alpha1::Site>(*objects.site));
  SLUICE_ASSIGN_OR_RETURN(const Latest latest, FindLatest(objects));
  std::shared_ptr<const v1alpha1::StagePlan> plan;
  if (objects.plan != nullptr) {
    SLUICE_ASSIGN_OR_RETURN(plan, common::Decode<v1alpha1::StagePlan>(*objects.plan));
  }
  Chain chain;
  chain.site = std::string(objects.site->name());
  chain.wants = site->spec().stage();
  chain.stage = site->status().stage();
  chain.stage_reached_at = site->status().stage_reached_at();
  chain.requested_by = site->spec().requested_by();
  const bool open = latest.message != nullptr && latest.message->status().outcome().empty();
  if (latest.message != nullptr) {
    chain.promotion = latest.name;
    chain.asked_at = latest.created;
    chain.outcome = latest.message->status().outcome();
  }
  if (open) {
    chain.next = latest.message->spec().to();
    chain.requested_by = latest.message->spec().requested_by();
    chain.next_look = latest.message->status().next_evaluation_at();
  }
  // A finished attempt's gates are shown when it is what still stands in the way.
  if (open || (chain.outcome == "Aborted" && chain.stage != chain.wants)) {
    FillGates(*latest.message, chain);
  }
  chain.stale = StaleOf(*objects.site);
  if (!open && chain.stale.empty()) chain.note = NoteOf(chain, *site, plan.get(), latest);
  for (const v1alpha1::Blocker& blocker : site->status().blocked_by()) {
    const bool of_gate = std::any_of(
        chain.gates.begin(), chain.gates.end(),
        [&](const GateLine& g) { return g.name == blocker.gate() && g.cause == blocker.cause(); });
    if (!of_gate) chain.blockers.push_back(BlockerOf(blocker));
  }
  if (open && plan != nullptr) {
    chain.then = Preview(*site, *plan, *latest.message, objects.objectives, objects.people, now);
  }
  return chain;
}

}  // namespace sluice::kubectl
