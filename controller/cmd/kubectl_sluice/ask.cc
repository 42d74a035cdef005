#include "controller/cmd/kubectl_sluice/ask.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "controller/base/time_format.h"

namespace sluice::kubectl {
namespace {

using Json = nlohmann::ordered_json;

}  // namespace

base::StatusOr<std::string> DecisionManifest(const std::string& site,
                                             const std::vector<meta::ObjectPtr>& promotions,
                                             const std::string& user, base::Duration open_for,
                                             base::WallTime now) {
  for (const meta::ObjectPtr& object : promotions) {
    const nlohmann::json promotion = object->ToJson();
    const nlohmann::json& spec = promotion.at("spec");
    if (spec.at("siteRef").value("name", "") != site ||
        !promotion.value(nlohmann::json::json_pointer("/status/outcome"), std::string()).empty()) {
      continue;
    }
    const std::string to = spec.value("to", "");
    const auto end = now + std::chrono::duration_cast<base::WallTime::duration>(open_for);
    const Json out = {{"apiVersion", "sluice.dev/v1alpha1"},
                      {"kind", "Decision"},
                      {"metadata", {{"generateName", std::string(object->name()) + "-"}}},
                      {"spec",
                       {{"question", fmt::format("May {} enter {}?", site, to)},
                        {"subject",
                         {{"kind", "Site"},
                          {"name", site},
                          {"uid", spec["siteRef"].value("uid", "")},
                          {"generation", spec.value("generation", std::int64_t{0})},
                          {"stage", to},
                          {"planHash", spec.at("plan").value("hash", "")}}},
                        {"requestedBy", user},
                        {"expiresAt", base::FormatRfc3339(end)}}}};
    return out.dump(2) + "\n";
  }
  return base::FailedPrecondition(
      fmt::format("site {} has no open promotion: there is no step to decide about", site));
}

std::string ApprovalManifest(const meta::Object& decision, const std::string& user,
                             const VoteWish& wish) {
  const nlohmann::json object = decision.ToJson();
  const nlohmann::json& spec = object.at("spec");
  const nlohmann::json& subject = spec.at("subject");
  Json seen = {{"uid", subject.value("uid", "")},
               {"generation", subject.value("generation", std::int64_t{0})}};
  if (subject.contains("planHash")) seen["planHash"] = subject["planHash"];
  Json approver = {{"user", user}};
  if (!wish.groups.empty()) approver["groups"] = wish.groups;
  Json out = {{"apiVersion", "sluice.dev/v1alpha1"},
              {"kind", "Approval"},
              {"metadata", {{"generateName", std::string(decision.name()) + "-"}}},
              {"spec",
               {{"decisionRef", {{"name", decision.name()}, {"uid", decision.uid()}}},
                {"subject", std::move(seen)},
                {"role", wish.role},
                {"verdict", wish.agrees ? "Agree" : "Disagree"},
                {"approver", std::move(approver)},
                {"expiresAt", spec.value("expiresAt", "")}}}};
  if (!wish.comment.empty()) out["spec"]["comment"] = wish.comment;
  return out.dump(2) + "\n";
}

}  // namespace sluice::kubectl
