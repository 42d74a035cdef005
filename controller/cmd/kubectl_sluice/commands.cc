#include "controller/cmd/kubectl_sluice/commands.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "controller/base/file.h"
#include "controller/cmd/kubectl_sluice/agenda.h"
#include "controller/cmd/kubectl_sluice/answer.h"
#include "controller/cmd/kubectl_sluice/ask.h"
#include "controller/cmd/kubectl_sluice/chain.h"
#include "controller/cmd/kubectl_sluice/json_at.h"
#include "controller/cmd/kubectl_sluice/json_form.h"
#include "controller/cmd/kubectl_sluice/listing.h"
#include "controller/cmd/kubectl_sluice/rollout_why.h"
#include "controller/cmd/kubectl_sluice/stale.h"
#include "reconcilers/common/people_resources.h"
#include "reconcilers/common/release_resources.h"
#include "reconcilers/common/resources.h"

namespace sluice::kubectl {
namespace {

using nlohmann::json;

constexpr std::size_t kMaxNamesOffered = 500;

// A site for programs; LineOf is the same for people.
json RowOf(const meta::Object& site) {
  const json object = site.ToJson();
  const json status = object.value("status", json::object());
  const json agents = status.value("agents", json::object());
  std::string ready = "Unknown";
  for (const json& condition : status.value("conditions", json::array())) {
    if (condition.value("type", "") == "Ready") ready = condition.value("status", ready);
  }
  json row = {
      {"site", site.name()},
      {"stage", status.value("stage", "")},
      {"wants", At(object, "/spec/stage")},
      {"ready", ready},
      {"agents", {{"ready", agents.value("ready", 0)}, {"wanted", agents.value("wanted", 0)}}},
      {"blockedBy", status.value("blockedBy", json::array())}};
  if (const std::string stale = StaleOf(site); !stale.empty()) row["stale"] = stale;
  return row;
}

SiteLine LineOf(const json& row) {
  SiteLine line{.site = row["site"],
                .stage = row["stage"],
                .wants = row["wants"],
                .ready = row["ready"],
                .agents = fmt::format("{}/{}", row["agents"]["ready"].get<int>(),
                                      row["agents"]["wanted"].get<int>()),
                .blocker = "-"};
  if (line.stage.empty()) line.stage = "-";
  if (row.contains("stale")) {
    line.blocker = "not looked at yet";
  } else if (const json& blocked = row["blockedBy"]; !blocked.empty()) {
    line.blocker =
        fmt::format("{} ({})", blocked[0].value("gate", ""), blocked[0].value("cause", ""));
  }
  return line;
}

base::StatusOr<gates::PeopleObjects> People(client::Reader& api) {
  gates::PeopleObjects out;
  SLUICE_ASSIGN_OR_RETURN(out.reviews, ListIfServed(api, common::kReadinessReviews));
  SLUICE_ASSIGN_OR_RETURN(out.decisions, ListIfServed(api, common::kDecisions));
  SLUICE_ASSIGN_OR_RETURN(out.approvals, ListIfServed(api, common::kApprovals));
  SLUICE_ASSIGN_OR_RETURN(out.exemptions, ListIfServed(api, common::kExemptions));
  SLUICE_ASSIGN_OR_RETURN(out.freezes, ListIfServed(api, common::kFreezeWindows));
  SLUICE_ASSIGN_OR_RETURN(out.incidents, ListIfServed(api, common::kIncidents));
  return out;
}

// Who the API server takes us for.
base::StatusOr<std::string> WhoAmI(client::Client& api) {
  SLUICE_ASSIGN_OR_RETURN(
      const std::string body,
      api.Raw("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews",
              R"({"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"})"));
  const json answer = json::parse(body, nullptr, false);
  const std::string user =
      answer.is_object() ? At(answer, "/status/userInfo/username") : std::string();
  if (user.empty()) return base::DataLoss("the API server did not say who you are");
  return user;
}

base::StatusOr<Chain> ChainOf(client::Reader& api, const std::string& name,
                              const std::string& only_promotion, base::WallTime now) {
  Objects objects;
  SLUICE_ASSIGN_OR_RETURN(objects.site, GetNamed(api, common::kSites, name));
  const std::string class_name = At(objects.site->ToJson(), "/spec/classRef/name");
  SLUICE_ASSIGN_OR_RETURN(const meta::ObjectPtr site_class,
                          GetIfThere(api, common::kSiteClasses, class_name));
  if (site_class != nullptr) {
    const std::string plan = At(site_class->ToJson(), "/spec/stagePlanRef/name");
    SLUICE_ASSIGN_OR_RETURN(objects.plan, GetIfThere(api, common::kStagePlans, plan));
  }
  SLUICE_ASSIGN_OR_RETURN(const auto promotions, ListServed(api, common::kPromotions));
  for (const meta::ObjectPtr& promotion : promotions) {
    if (At(promotion->ToJson(), "/spec/siteRef/name") != name) continue;
    if (!only_promotion.empty() && promotion->name() != only_promotion) continue;
    objects.promotions.push_back(promotion);
  }
  SLUICE_ASSIGN_OR_RETURN(objects.objectives, ListServed(api, common::kObjectives));
  SLUICE_ASSIGN_OR_RETURN(objects.people, People(api));
  return BuildChain(objects, now);
}

base::StatusOr<std::string> WhyOfRollout(client::Reader& api, const Options& options,
                                         const Style& style, base::WallTime now) {
  SLUICE_ASSIGN_OR_RETURN(const meta::ObjectPtr rollout,
                          GetNamed(api, common::kRollouts, options.rollout));
  SLUICE_ASSIGN_OR_RETURN(const RolloutAnswer answer, WhyRollout(*rollout, style, now));
  return Formatted(OutputOf(options), answer.text, answer.json);
}

// What a Tenant's own status says, then the chain of each of its sites.
base::StatusOr<std::string> WhyTenant(client::Reader& api, const Options& options,
                                      const Style& style, base::WallTime now) {
  SLUICE_ASSIGN_OR_RETURN(const meta::ObjectPtr object,
                          GetNamed(api, common::kTenants, options.tenant));
  const json status = object->ToJson().value("status", json::object());
  const json sites = object->ToJson().value(json::json_pointer("/spec/sites"), json::array());
  json out = {{"tenant", options.tenant},
              {"blockedBy", status.value("blockedBy", json::array())},
              {"conditions", status.value("conditions", json::array())},
              {"status", status.value("sites", json::array())},
              {"sites", json::array()}};
  std::string text = options.tenant + "\n";
  if (const std::string stale = StaleOf(*object); !stale.empty()) {
    out["stale"] = stale;
    text += "  " + stale + "\n";
  }
  for (const json& condition : out["conditions"]) {
    text += fmt::format("  {:<5}  {}  {}  {}\n", condition.value("status", "Unknown"),
                        condition.value("type", ""), condition.value("reason", ""),
                        condition.value("message", ""));
  }
  for (const json& blocker : out["blockedBy"]) {
    text +=
        fmt::format("  HOLD   {}  {}  {}  since {}  unblocked by {}\n", blocker.value("gate", ""),
                    blocker.value("cause", ""), blocker.value("message", ""),
                    blocker.value("since", ""), blocker.value("unblockedBy", ""));
  }
  for (const json& site : sites) {
    if (!site.is_string()) continue;
    const auto chain = ChainOf(api, site.get<std::string>(), "", now);
    if (!chain.ok() && chain.status().code() != base::Code::kNotFound) return chain.status();
    if (!chain.ok()) {
      text += fmt::format("{}: there is no such Site\n", site.get<std::string>());
      continue;
    }
    text += RenderText(*chain, style, now);
    out["sites"].push_back(json::parse(RenderJson(*chain)));
  }
  return Formatted(OutputOf(options), text, out.dump(2) + "\n");
}

// Before the cluster is asked: a file that is wrong is told at once.
base::StatusOr<std::vector<PlannedMeeting>> CalendarOf(const Options& options) {
  if (options.calendar.empty()) return ReadCalendar(DefaultCalendar());
  SLUICE_ASSIGN_OR_RETURN(const std::string text, base::ReadFile(options.calendar, 1 << 20));
  auto calendar = ReadCalendar(text);
  if (!calendar.ok()) return calendar.status().Annotate(options.calendar);
  return calendar;
}

}  // namespace

base::StatusOr<std::string> Agenda(client::Reader& api, const Options& options,
                                   base::WallTime now) {
  SLUICE_ASSIGN_OR_RETURN(const auto calendar, CalendarOf(options));
  AgendaObjects objects;
  SLUICE_ASSIGN_OR_RETURN(objects.promotions, ListServed(api, common::kPromotions));
  SLUICE_ASSIGN_OR_RETURN(objects.rollouts, ListServed(api, common::kRollouts));
  SLUICE_ASSIGN_OR_RETURN(objects.objectives, ListServed(api, common::kObjectives));
  SLUICE_ASSIGN_OR_RETURN(objects.people, People(api));
  const auto meetings = BuildAgenda(objects, calendar, options.within, now);
  return Formatted(OutputOf(options), RenderAgenda(meetings, now), AgendaJson(meetings));
}

base::StatusOr<std::string> Propose(client::Client& api, const Options& options,
                                    base::WallTime now) {
  SLUICE_ASSIGN_OR_RETURN(const std::string user, WhoAmI(api));
  const auto open_for = options.within.value_or(std::chrono::hours(24 * 14));
  std::string manifest;
  if (!options.rollout.empty()) {
    SLUICE_ASSIGN_OR_RETURN(const meta::ObjectPtr rollout,
                            GetNamed(api, common::kRollouts, options.rollout));
    SLUICE_ASSIGN_OR_RETURN(manifest, RolloutDecision(*rollout, user, open_for, now));
  } else {
    SLUICE_RETURN_IF_ERROR(GetNamed(api, common::kSites, options.site).status());
    SLUICE_ASSIGN_OR_RETURN(const auto promotions, ListServed(api, common::kPromotions));
    SLUICE_ASSIGN_OR_RETURN(manifest,
                            DecisionManifest(options.site, promotions, user, open_for, now));
  }
  return Formatted(OutputOf(options), manifest, manifest);
}

base::StatusOr<std::string> CastVote(client::Client& api, const Options& options) {
  SLUICE_ASSIGN_OR_RETURN(const std::string user, WhoAmI(api));
  SLUICE_ASSIGN_OR_RETURN(const meta::ObjectPtr decision,
                          GetNamed(api, common::kDecisions, options.decision));
  const std::string manifest = ApprovalManifest(
      *decision, user, {options.role, !options.disagree, options.groups, options.comment});
  return Formatted(OutputOf(options), manifest, manifest);
}

base::StatusOr<std::string> Why(client::Reader& api, const Options& options, const Style& style,
                                base::WallTime now) {
  if (!options.tenant.empty()) return WhyTenant(api, options, style, now);
  if (!options.rollout.empty()) return WhyOfRollout(api, options, style, now);
  std::string site = options.site;
  if (!options.promotion.empty()) {
    SLUICE_ASSIGN_OR_RETURN(const meta::ObjectPtr promotion,
                            GetNamed(api, common::kPromotions, options.promotion));
    site = At(promotion->ToJson(), "/spec/siteRef/name");
  }
  SLUICE_ASSIGN_OR_RETURN(const Chain chain, ChainOf(api, site, options.promotion, now));
  return Formatted(OutputOf(options), RenderText(chain, style, now), RenderJson(chain));
}

base::StatusOr<std::string> MayAdvance(client::Reader& api, const Options& options,
                                       base::WallTime now, bool& yes) {
  Advance answer;
  if (!options.rollout.empty()) {
    SLUICE_ASSIGN_OR_RETURN(const meta::ObjectPtr rollout,
                            GetNamed(api, common::kRollouts, options.rollout));
    SLUICE_ASSIGN_OR_RETURN(answer, CanRollOn(*rollout));
  } else {
    SLUICE_ASSIGN_OR_RETURN(const Chain chain, ChainOf(api, options.site, "", now));
    answer = CanAdvance(chain, now);
  }
  yes = answer.yes;
  return Formatted(OutputOf(options), answer.text, answer.json);
}

base::StatusOr<std::string> SiteTable(client::Reader& api, const Options& options) {
  SLUICE_ASSIGN_OR_RETURN(const auto sites, ListServed(api, common::kSites));
  std::vector<SiteLine> lines;
  json out = json::array();
  for (const meta::ObjectPtr& site : sites) {
    out.push_back(RowOf(*site));
    lines.push_back(LineOf(out.back()));
  }
  return Formatted(OutputOf(options), RenderTable(lines), out.dump(2) + "\n");
}

base::StatusOr<std::string> Version(client::Client& api, const Options& options) {
  SLUICE_ASSIGN_OR_RETURN(const std::string body, api.Raw("GET", "/version", ""));
  const json answer = json::parse(body, nullptr, false);
  const std::string server =
      answer.is_object() ? answer.value("gitVersion", "unknown") : std::string("unknown");
  const json out = {{"plugin", SLUICE_VERSION}, {"apiServer", server}};
  return Formatted(OutputOf(options),
                   fmt::format("kubectl-sluice {}\nAPI server {}\n", SLUICE_VERSION, server),
                   out.dump(2) + "\n");
}

std::vector<std::string> NamesOf(client::Reader& api, const std::string& kind) {
  std::vector<std::string> out;
  for (const auto* resource : {&common::kSites, &common::kTenants, &common::kPromotions,
                               &common::kRollouts, &common::kDecisions}) {
    if (resource->plural != kind + "s") continue;
    const auto list = api.List(*resource, {.metadata_only = true});
    if (!list.ok()) continue;
    for (const meta::ObjectPtr& object : list->items) {
      if (out.size() < kMaxNamesOffered) out.emplace_back(object->name());
    }
  }
  return out;
}

}  // namespace sluice::kubectl
